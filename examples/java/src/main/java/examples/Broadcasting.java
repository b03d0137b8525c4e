package examples;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;

/**
 * Every member of the group gets every message, for example to drop an entry from its cache. Each keeps its progress in a
 * file of its own machine ({@code ~/.rocketmq_offsets}), and what fails is not brought again.
 */
public final class Broadcasting {
    private static final String TOPIC = "java-broadcasting";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-broadcasting-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer one = member("one", inbox);
        DefaultMQPushConsumer two = member("two", inbox);
        for (int i = 1; i <= 2; i++) {
            producer.send(new Message(TOPIC, "", "change-" + i, "drop".getBytes(StandardCharsets.UTF_8)));
        }
        inbox.print(4);
        one.shutdown();
        two.shutdown();
        producer.shutdown();
    }

    private static DefaultMQPushConsumer member(String name, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-broadcasting");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setInstanceName(name); // two members in one process
        consumer.setMessageModel(MessageModel.BROADCASTING);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> inbox.add(name + " got " + m.getKeys()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
