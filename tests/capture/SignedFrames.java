import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.common.protocol.RequestCode;
import org.apache.rocketmq.common.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.common.protocol.header.QueryMessageRequestHeader;
import org.apache.rocketmq.common.protocol.header.SendMessageRequestHeaderV2;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

/**
 * Prints requests signed by the client's own hook, one a line: secret, then the frame in hex. Run as
 * `reference/rmq java 4.7.1 tests/capture/SignedFrames.java > crates/kerolox-net/testdata/signed.txt`.
 */
public class SignedFrames {
    static void print(String secret, RemotingCommand request) {
        new AclClientRPCHook(new SessionCredentials("conformanceUser", secret)).doBeforeRequest("127.0.0.1:1", request);
        ByteBuffer frame = request.encode();
        StringBuilder hex = new StringBuilder();
        while (frame.hasRemaining()) {
            hex.append(String.format("%02x", frame.get()));
        }
        System.out.println(secret + " " + hex);
    }

    static RemotingCommand request(int code, CommandCustomHeader header, String body, SerializeType type) {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, header);
        request.setSerializeTypeCurrentRPC(type);
        request.setBody(body == null ? null : body.getBytes(StandardCharsets.UTF_8));
        return request;
    }

    public static void main(String[] args) {
        for (String secret : new String[] {"12345678", "a-\u00e9\u4e2d-secret"}) {
            for (SerializeType type : SerializeType.values()) {
                SendMessageRequestHeaderV2 send = new SendMessageRequestHeaderV2();
                send.setA("group");
                send.setB("AclOpen");
                send.setC("TBW102");
                send.setD(4);
                send.setE(1);
                send.setF(0);
                send.setG(1600000000000L);
                send.setH(0);
                send.setI("KEYS\u0001k\u0002TAGS\u0001\u00fc\u4e2d\u0002");
                send.setJ(0);
                send.setK(false);
                send.setM(false);
                print(secret, request(RequestCode.SEND_MESSAGE_V2, send, "hello \u4e2d", type));
                PullMessageRequestHeader pull = new PullMessageRequestHeader();
                pull.setConsumerGroup("AclGroup");
                pull.setTopic("AclOpen");
                pull.setQueueId(0);
                pull.setQueueOffset(0L);
                pull.setMaxMsgNums(32);
                pull.setSysFlag(2);
                pull.setCommitOffset(0L);
                pull.setSuspendTimeoutMillis(15000L);
                pull.setSubVersion(1600000000000L);
                pull.setSubscription("*");
                pull.setExpressionType("TAG");
                print(secret, request(RequestCode.PULL_MESSAGE, pull, null, type));
                QueryMessageRequestHeader query = new QueryMessageRequestHeader();
                query.setTopic("AclOpen");
                query.setKey("k");
                query.setMaxNum(32);
                query.setBeginTimestamp(0L);
                query.setEndTimestamp(Long.MAX_VALUE);
                RemotingCommand byKey = request(RequestCode.QUERY_MESSAGE, query, null, type);
                // The client adds this one before the hook signs, and the hook leaves it out.
                byKey.addExtField("_UNIQUE_KEY_QUERY", "true");
                print(secret, byKey);
                print(secret, request(RequestCode.HEART_BEAT, null, "{\"clientID\":\"x\"}", type));
            }
        }
    }
}
