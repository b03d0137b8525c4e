import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Leaves behind what the console is to show: a traced message that two groups consumed, one of them at the second try;
 * dead letters; a transaction in doubt; delayed messages; a topic that somebody wants in vain. Prints the traced id.
 *
 * Usage: Traffic NAMESERVER
 */
public class Traffic {
    static final String TOPIC = "walk-traffic";
    static String nameServer;

    public static void main(String[] args) throws Exception {
        // Threads of the clients would keep a process alive that has failed.
        Thread.setDefaultUncaughtExceptionHandler((thread, error) -> {
            error.printStackTrace();
            System.exit(1);
        });
        nameServer = args[0];
        DefaultMQProducer producer = new DefaultMQProducer("walk_producer", true);
        producer.setNamesrvAddr(nameServer);
        producer.start();
        String traced = traced(producer);
        deadLetters(producer);
        producer.send(later("level", 18, null));
        for (int i = 0; i < 3; i++) {
            producer.send(later("timer-" + i, 0, String.valueOf(3600 + i)));
        }
        inDoubt();
        wantedInVain();
        // Traces are sent from a queue in the background.
        Thread.sleep(3000);
        System.out.println("traced " + traced);
        System.exit(0);
    }

    static Message later(String key, int level, String seconds) {
        Message message = new Message(TOPIC, "later", key, ("body of " + key).getBytes(StandardCharsets.UTF_8));
        message.setDelayTimeLevel(level);
        if (seconds != null) {
            message.putUserProperty("TIMER_DELAY_SEC", seconds);
        }
        return message;
    }

    static DefaultMQPushConsumer consumer(String group, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, null, new AllocateMessageQueueAveragely(), true, null);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, "traced || dead");
        consumer.registerMessageListener(listener);
        return consumer;
    }

    static String traced(DefaultMQProducer producer) throws Exception {
        CountDownLatch done = new CountDownLatch(3);
        AtomicBoolean failed = new AtomicBoolean();
        DefaultMQPushConsumer quick = consumer("walk_quick", (messages, context) -> {
            pause(20);
            done.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQPushConsumer second = consumer("walk_second", (messages, context) -> {
            pause(40);
            done.countDown();
            return failed.compareAndSet(false, true) ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        SendResult sent = producer.send(new Message(TOPIC, "traced", "walk-key", "a traced message".getBytes(StandardCharsets.UTF_8)));
        quick.start();
        second.start();
        if (!done.await(180, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not consumed");
        }
        Thread.sleep(1000);
        quick.shutdown();
        second.shutdown();
        return sent.getMsgId();
    }

    static void deadLetters(DefaultMQProducer producer) throws Exception {
        CountDownLatch done = new CountDownLatch(12);
        DefaultMQPushConsumer failing = consumer("walk_failing", (messages, context) -> {
            for (MessageExt message : messages) {
                if ("dead".equals(message.getTags())) {
                    done.countDown();
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        failing.setConsumeMessageBatchMaxSize(1);
        failing.setMaxReconsumeTimes(0);
        for (int i = 0; i < 12; i++) {
            String body = "{\"order\": " + i + "}";
            producer.send(new Message(TOPIC, "dead", "dead-" + i, body.getBytes(StandardCharsets.UTF_8)));
        }
        failing.start();
        if (!done.await(180, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not handed back");
        }
        Thread.sleep(2000);
        failing.shutdown();
    }

    static void inDoubt() throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("walk_tx");
        producer.setNamesrvAddr(nameServer);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                return arg == null ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        producer.sendMessageInTransaction(new Message(TOPIC, "tx", "doubt", "in doubt".getBytes(StandardCharsets.UTF_8)), null);
        producer.sendMessageInTransaction(new Message(TOPIC, "tx", "settled", "settled".getBytes(StandardCharsets.UTF_8)), "commit");
        Thread.sleep(500);
        producer.shutdown();
    }

    static void wantedInVain() throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("walk_wanting");
        consumer.setNamesrvAddr(nameServer);
        consumer.start();
        try {
            consumer.fetchSubscribeMessageQueues("walk-wanted");
            throw new IllegalStateException("walk-wanted is there");
        } catch (org.apache.rocketmq.client.exception.MQClientException expected) {
            consumer.shutdown();
        }
    }

    static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
