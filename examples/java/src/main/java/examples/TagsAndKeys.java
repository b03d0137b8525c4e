package examples;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * One topic for an application, a tag for each kind of message, and the number that people will ask for as the key.
 * The broker leaves out other tags, so they never travel; a key finds its messages later:
 * {@code bin/mqadmin queryMsgByKey -t java-tags-and-keys -k order-2}.
 */
public final class TagsAndKeys {
    private static final String TOPIC = "java-tags-and-keys";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-tags-and-keys-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        for (int order = 1; order <= 3; order++) {
            for (String kind : new String[] {"created", "paid", "cancelled"}) {
                byte[] body = ("order " + order + " is " + kind).getBytes(StandardCharsets.UTF_8);
                producer.send(new Message(TOPIC, kind, "order-" + order, body));
            }
        }

        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-tags-and-keys");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // every member of the group has to subscribe to the same
        consumer.subscribe(TOPIC, "paid || cancelled");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> inbox.add(m.getKeys() + ": " + m.getTags()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.print(6);
        consumer.shutdown();
        producer.shutdown();
    }
}
