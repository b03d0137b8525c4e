package examples;

import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A message that is delivered if, and only if, the work it tells of was done. When the producer does not say how it went,
 * the broker asks after {@code transactionTimeOut}, in rounds of {@code transactionCheckInterval} (a minute by default).
 */
public final class Transactions {
    private static final String TOPIC = "java-transactions";
    private static final Inbox INBOX = new Inbox();
    /** Stands for the database: the answer must come from what was stored, since another process may be asked. */
    private static final Set<String> PAID = ConcurrentHashMap.newKeySet();

    private static final class Payment implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message half, Object argument) {
            switch (half.getKeys()) {
                case "order-1":
                    PAID.add(half.getKeys());
                    return LocalTransactionState.COMMIT_MESSAGE;
                case "order-2":
                    return LocalTransactionState.ROLLBACK_MESSAGE;
                default:
                    PAID.add(half.getKeys());
                    return LocalTransactionState.UNKNOW; // as if the process had ended here
            }
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt half) {
            INBOX.add("asked about " + half.getKeys());
            return PAID.contains(half.getKeys()) ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }
    }

    public static void main(String[] args) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("java-transactions-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        producer.setTransactionListener(new Payment());
        producer.start();
        for (int order = 1; order <= 3; order++) {
            byte[] body = ("order " + order + " is paid").getBytes(StandardCharsets.UTF_8);
            producer.sendMessageInTransaction(new Message(TOPIC, "", "order-" + order, body), null);
        }

        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-transactions");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> INBOX.add("delivered " + m.getKeys()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        INBOX.print(3);
        consumer.shutdown();
        producer.shutdown();
    }
}
