import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** On each cluster (NAMESRV ...) a producer of group `senders` and a consumer of group `members`, topic `live`, until killed. */
public class Members {
    public static void main(String[] servers) throws Exception {
        for (String server : servers) {
            DefaultMQProducer producer = new DefaultMQProducer("senders");
            producer.setNamesrvAddr(server);
            producer.setInstanceName("senders-" + server.replace(':', '-'));
            producer.setSendMsgTimeout(20_000);
            producer.start();
            for (int i = 0; i < 8; i++) {
                producer.send(new Message("live", "TagA", "live" + i, "live message".getBytes(StandardCharsets.UTF_8)));
            }
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("members");
            consumer.setNamesrvAddr(server);
            consumer.setInstanceName("members-" + server.replace(':', '-'));
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setPersistConsumerOffsetInterval(500);
            consumer.subscribe("live", "TagA || TagB");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
            consumer.start();
        }
        System.out.println("ready");
        Thread.sleep(Long.MAX_VALUE);
    }
}
