package examples;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Where one tag is not enough: the broker judges the properties of a message. Needs {@code enablePropertyFilter=true}. */
public final class SqlFilter {
    private static final String TOPIC = "java-sql-filter";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-sql-filter-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        for (int order = 1; order <= 6; order++) {
            Message message = new Message(TOPIC, "", "order-" + order, "order".getBytes(StandardCharsets.UTF_8));
            message.putUserProperty("amount", String.valueOf(order * 10));
            message.putUserProperty("region", order % 2 == 0 ? "eu" : "us");
            producer.send(message);
        }

        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-sql-filter");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, MessageSelector.bySql("amount BETWEEN 20 AND 50 AND region = 'eu'"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> inbox.add(m.getKeys() + " of " + m.getUserProperty("amount")));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.print(2);
        consumer.shutdown();
        producer.shutdown();
    }
}
