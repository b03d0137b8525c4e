'use strict';
// The shortest way to send a message and to get it, with the npm package ali-ons.
const { Producer, Consumer, Message } = require('ali-ons');

const quiet = () => {};
const base = {
  nameSrv: (process.env.NAMESRV_ADDR || '127.0.0.1:9876').split(';'),
  httpclient: {},
  logger: { debug: quiet, info: quiet, warn: quiet, error: console.error },
};

(async () => {
  const producer = new Producer({ producerGroup: 'node-quickstart-producer', ...base });
  await producer.ready();
  const result = await producer.send(new Message('node-quickstart', 'greeting', 'Hello Kerolox'));
  console.log(`sent: ${result.sendStatus}`);

  const consumer = new Consumer({ consumerGroup: 'node-quickstart', consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET', ...base });
  const received = new Promise(resolve => consumer.subscribe('node-quickstart', '*', async message => resolve(message)));
  await consumer.ready();
  console.log(`received: ${(await received).body}`);
  await consumer.close();
  process.exit(0);
})();
