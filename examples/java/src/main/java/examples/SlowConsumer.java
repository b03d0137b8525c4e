package examples;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;

/**
 * Work that waits for something (a database, another service) is done by more threads; what is fetched ahead is bounded, so
 * that a slow consumer does not fill its memory; and the consumer knows how far behind it is.
 */
public final class SlowConsumer {
    private static final String TOPIC = "java-slow-consumer";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-slow-consumer-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        for (int i = 0; i < 200; i++) {
            producer.send(new Message(TOPIC, ("work " + i).getBytes(StandardCharsets.UTF_8)));
        }

        Inbox inbox = new Inbox();
        AtomicInteger working = new AtomicInteger();
        AtomicInteger mostAtOnce = new AtomicInteger();
        AtomicLong behind = new AtomicLong(Long.MAX_VALUE);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-slow-consumer");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(8);
        consumer.setConsumeThreadMax(8);
        // no more than this is fetched ahead: messages, MiB, and how far apart the first and the last in work may be
        consumer.setPullThresholdForQueue(64);
        consumer.setPullThresholdSizeForQueue(16);
        consumer.setConsumeConcurrentlyMaxSpan(500);
        // minutes; what takes longer is handed back and comes again
        consumer.setConsumeTimeout(15);
        // a shutdown lets the work in hand end, and its progress be noted, for as long as this
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            mostAtOnce.accumulateAndGet(working.incrementAndGet(), Math::max);
            pause(20);
            working.decrementAndGet();
            messages.forEach(m -> {
                // the end of the queue as it was when this message was fetched
                long end = Long.parseLong(m.getProperty(MessageConst.PROPERTY_MAX_OFFSET));
                behind.accumulateAndGet(end - 1 - m.getQueueOffset(), Math::min);
                inbox.add("done");
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.await(200);
        System.out.println("several worked at once: " + (mostAtOnce.get() > 1));
        System.out.println("behind at the end: " + behind.get());
        consumer.shutdown();
        producer.shutdown();
    }

    private static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException why) {
            Thread.currentThread().interrupt();
        }
    }
}
