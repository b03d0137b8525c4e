package examples;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Many small messages in one request, and many in one call of the listener. A batch goes to one topic and one queue; it may
 * not hold delayed or transactional messages, and together it must stay below {@code maxMessageSize} (4 MiB by default).
 */
public final class Batches {
    private static final String TOPIC = "java-batches";
    private static final int BATCH_SIZE_MAX = 128 * 1024;
    /** For what a message has beside topic, body and properties. */
    private static final int MESSAGE_OVERHEAD = 128;

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-batches-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.start();
        List<Message> waiting = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            waiting.add(new Message(TOPIC, "", "line-" + i, new byte[10 * 1024]));
        }
        int sends = 0;
        for (List<Message> batch : split(waiting)) {
            producer.send(batch);
            sends++;
        }
        System.out.println("30 messages in " + sends + " sends");

        Inbox inbox = new Inbox();
        AtomicBoolean several = new AtomicBoolean();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-batches");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(10);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            if (messages.size() > 1) {
                several.set(true);
            }
            messages.forEach(m -> inbox.add(m.getKeys()));
            // RECONSUME_LATER would bring all of them again; context.setAckIndex(i) only those behind the i-th
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        inbox.await(30);
        System.out.println("30 messages received, several in one call: " + several.get());
        consumer.shutdown();
        producer.shutdown();
    }

    private static List<List<Message>> split(List<Message> messages) {
        List<List<Message>> batches = new ArrayList<>();
        int size = BATCH_SIZE_MAX;
        for (Message message : messages) {
            int more = message.getBody().length + message.getTopic().length() + MESSAGE_OVERHEAD;
            if (size + more > BATCH_SIZE_MAX) {
                batches.add(new ArrayList<>());
                size = 0;
            }
            batches.get(batches.size() - 1).add(message);
            size += more;
        }
        return batches;
    }
}
