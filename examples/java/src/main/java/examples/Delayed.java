package examples;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Messages for later: by one of the 18 levels, after any delay, at any time, and one that is taken back. */
public final class Delayed {
    private static final String TOPIC = "java-delayed";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-delayed-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        long end = System.currentTimeMillis() + 3_000;

        Message level = message("level 2", System.currentTimeMillis() + 5_000);
        level.setDelayTimeLevel(2); // 5 s by default, see messageDelayLevel
        producer.send(level);

        Message delay = message("TIMER_DELAY_MS", System.currentTimeMillis() + 1_500);
        delay.putUserProperty("TIMER_DELAY_MS", "1500");
        producer.send(delay);

        Message at = message("TIMER_DELIVER_MS", end);
        at.putUserProperty("TIMER_DELIVER_MS", String.valueOf(end));
        producer.send(at);

        Message unwanted = message("taken back", System.currentTimeMillis() + 4_000);
        unwanted.putUserProperty("TIMER_DELAY_MS", "4000");
        SendResult sent = producer.send(unwanted);
        Message cancel = message("cancel", end);
        cancel.putUserProperty("TIMER_DEL_UNIQKEY", TOPIC + "+" + sent.getMsgId());
        cancel.putUserProperty("TIMER_DELIVER_MS", String.valueOf(end));
        producer.send(cancel);

        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-delayed");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> {
                // when the broker stored what it delivers, by its clock: here that of the same machine
                boolean early = m.getStoreTimestamp() < Long.parseLong(m.getUserProperty("due"));
                inbox.add(new String(m.getBody(), StandardCharsets.UTF_8) + (early ? ": early" : ": not early"));
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.print(3);
        consumer.shutdown();
        producer.shutdown();
    }

    private static Message message(String text, long dueMs) {
        Message message = new Message(TOPIC, text.getBytes(StandardCharsets.UTF_8));
        message.putUserProperty("due", String.valueOf(dueMs));
        return message;
    }
}
