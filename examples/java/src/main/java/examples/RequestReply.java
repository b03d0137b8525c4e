package examples;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;

/** A question by message and its answer by message: the asking producer waits, any member of the group may answer. */
public final class RequestReply {
    private static final String TOPIC = "java-request-reply";

    public static void main(String[] args) throws Exception {
        DefaultMQProducer answering = new DefaultMQProducer("java-request-reply-answering");
        answering.setNamesrvAddr(Inbox.NAME_SERVER);
        answering.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-request-reply");
        consumer.setNamesrvAddr(Inbox.NAME_SERVER);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            try {
                String question = new String(messages.get(0).getBody(), StandardCharsets.UTF_8);
                byte[] answer = ("answer to " + question).getBytes(StandardCharsets.UTF_8);
                // knows from the properties of the request who is waiting
                answering.send(MessageUtil.createReplyMessage(messages.get(0), answer));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception why) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();

        DefaultMQProducer asking = new DefaultMQProducer("java-request-reply-asking");
        asking.setNamesrvAddr(Inbox.NAME_SERVER);
        asking.start();
        Message question = new Message(TOPIC, "question 1".getBytes(StandardCharsets.UTF_8));
        Message answer = asking.request(question, 30_000); // throws when nobody has answered by then
        System.out.println(new String(answer.getBody(), StandardCharsets.UTF_8));
        asking.shutdown();
        consumer.shutdown();
        answering.shutdown();
    }
}
