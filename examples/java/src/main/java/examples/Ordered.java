package examples;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Messages of one order keep their order: the order's number picks the queue, and an orderly listener takes each queue with
 * one thread at a time. Different orders are still worked off side by side.
 */
public final class Ordered {
    private static final String TOPIC = "java-ordered";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-ordered-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        for (String step : new String[] {"created", "paid", "shipped"}) {
            for (int order = 1; order <= 3; order++) {
                Message message = new Message(TOPIC, step, "order-" + order, step.getBytes(StandardCharsets.UTF_8));
                // synchronously: an asynchronous send that is repeated may overtake
                producer.send(message, new SelectMessageQueueByHash(), "order-" + order);
            }
        }

        Inbox inbox = new Inbox();
        Map<String, String> seen = new TreeMap<>();
        AtomicBoolean failOnce = new AtomicBoolean(true);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-ordered");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            String order = messages.get(0).getKeys();
            String step = messages.get(0).getTags();
            if (order.equals("order-2") && step.equals("paid") && failOnce.getAndSet(false)) {
                // the queue waits here: what comes behind would otherwise overtake
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            synchronized (seen) {
                seen.merge(order, step, (before, next) -> before + " " + next);
            }
            inbox.add(order);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        inbox.await(9);
        synchronized (seen) {
            seen.forEach((order, steps) -> System.out.println(order + ": " + steps));
        }
        consumer.shutdown();
        producer.shutdown();
    }
}
