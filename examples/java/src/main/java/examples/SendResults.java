package examples;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** The three ways to send, and what to do with each outcome. */
public final class SendResults {
    private static final String TOPIC = "java-send-results";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-send-results-producer");
        producer.setNamesrvAddr(Inbox.NAME_SERVER);
        // The time for all tries together. A try that timed out may have been stored: consumers have to bear duplicates.
        producer.setSendMsgTimeout(5_000);
        producer.setRetryTimesWhenSendFailed(2);
        producer.setRetryTimesWhenSendAsyncFailed(2);
        producer.start();

        System.out.println("sync: " + judge(producer.send(message("sync"))));

        CompletableFuture<SendResult> later = new CompletableFuture<>();
        producer.send(message("async"), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                later.complete(result);
            }

            @Override
            public void onException(Throwable why) {
                later.completeExceptionally(why);
            }
        });
        System.out.println("async: " + judge(later.get(10, TimeUnit.SECONDS)));

        // For what may be lost, such as log lines: nobody answers.
        producer.sendOneway(message("one-way"));
        System.out.println("one-way: no answer");

        try {
            producer.send(new Message(TOPIC, new byte[5 * 1024 * 1024]));
        } catch (MQClientException why) {
            // An exception means: not acknowledged. This one will not go away by trying again; a time-out may.
            System.out.println("five megabytes: refused");
        }
        producer.shutdown();
    }

    /** Every status but an exception means that the message is stored; they differ in what it would survive. */
    private static String judge(SendResult result) {
        switch (result.getSendStatus()) {
            case SEND_OK:
                return "stored as the broker's flush mode promises";
            case FLUSH_DISK_TIMEOUT:
                return "stored, but not on the disk in time: lost only if the machine goes down";
            case FLUSH_SLAVE_TIMEOUT:
            case SLAVE_NOT_AVAILABLE:
                return "stored, but by the primary alone";
            default:
                throw new IllegalStateException(result.toString());
        }
    }

    private static Message message(String text) {
        return new Message(TOPIC, "", text, text.getBytes(StandardCharsets.UTF_8));
    }
}
