"""The shortest way to send a message and to get it, with the PyPI package rocketmq (a C++ client in a wheel, for Linux)."""
import os
import queue

from rocketmq.client import Message, Producer, PushConsumer

name_server = os.environ.get('NAMESRV_ADDR', '127.0.0.1:9876')

producer = Producer('python-quickstart-producer')
producer.set_namesrv_addr(name_server)
producer.start()
message = Message('python-quickstart')
message.set_body('Hello Kerolox')
print('sent:', producer.send_sync(message).status.name)

received = queue.Queue()
consumer = PushConsumer('python-quickstart')
consumer.set_namesrv_addr(name_server)
# a callback that raises hands the message back, to be tried again
consumer.subscribe('python-quickstart', lambda message: received.put(message.body))
consumer.start()
print('received:', received.get(timeout=60).decode())
consumer.shutdown()
producer.shutdown()
