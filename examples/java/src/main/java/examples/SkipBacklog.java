package examples;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;

/**
 * Where only fresh messages matter, a consumer that has fallen behind passes over the old ones. From outside the same is
 * done by {@code bin/mqadmin resetOffsetByTime -g GROUP -t TOPIC -s now}.
 */
public final class SkipBacklog {
    private static final String TOPIC = "java-skip-backlog";
    private static final long BEHIND_MAX = 100;

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-skip-backlog-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        for (int i = 0; i < 500; i++) {
            producer.send(new Message(TOPIC, ("price " + i).getBytes(StandardCharsets.UTF_8)));
        }

        Inbox inbox = new Inbox();
        AtomicInteger skipped = new AtomicInteger();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-skip-backlog");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> {
                long end = Long.parseLong(m.getProperty(MessageConst.PROPERTY_MAX_OFFSET));
                if (end - m.getQueueOffset() > BEHIND_MAX) {
                    skipped.incrementAndGet();
                }
                inbox.add("seen");
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.await(500);
        System.out.println("skipped " + skipped.get() + ", worked off " + (500 - skipped.get()));
        consumer.shutdown();
        producer.shutdown();
    }
}
