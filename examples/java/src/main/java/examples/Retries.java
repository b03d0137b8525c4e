package examples;

import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Messages come at least once. A consumer therefore goes by a key of the business and does each piece of work once; what
 * fails it hands back, and what fails too often ends in the dead letters of its group ({@code %DLQ%java-retries}).
 */
public final class Retries {
    private static final String TOPIC = "java-retries";
    /** Stands for a unique key in the database that the work is written to. */
    private static final Set<String> BOOKED = ConcurrentHashMap.newKeySet();

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-retries-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        // order-2 is sent twice, as a producer does after a time-out
        for (String order : new String[] {"order-1", "order-2", "order-2", "order-3", "order-4"}) {
            producer.send(new Message(TOPIC, "", order, order.getBytes(StandardCharsets.UTF_8)));
        }

        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-retries");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMaxReconsumeTimes(1);
        // a shutdown lets the last hand-back be answered; it would otherwise be made twice
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            // the delay level of the next try; 0, the default, waits longer from try to try: 10 s, 30 s, 1 min, ...
            context.setDelayLevelWhenNextConsume(1);
            boolean done = book(messages.get(0).getKeys(), messages.get(0).getReconsumeTimes(), inbox);
            return done ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        inbox.print(7);
        consumer.shutdown();
        producer.shutdown();
    }

    private static boolean book(String order, int earlierTries, Inbox inbox) {
        boolean fails = order.equals("order-4") || order.equals("order-3") && earlierTries == 0;
        if (fails) {
            inbox.add(order + ": try " + (earlierTries + 1) + " failed");
            return false;
        }
        inbox.add(order + (BOOKED.add(order) ? ": booked at try " + (earlierTries + 1) : ": came again, nothing to do"));
        return true;
    }
}
