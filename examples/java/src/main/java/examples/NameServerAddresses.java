package examples;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/**
 * The four ways to tell a client where the name servers are. Several are separated by semicolons. The earlier way wins; the
 * HTTP address is asked only when no other way was used, at the start and every two minutes, so name servers can move
 * without a restart of the clients.
 */
public final class NameServerAddresses {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer inCode = producer("code");
        inCode.setNamesrvAddr(Inbox.NAME_SERVER);
        send("code", inCode);

        System.setProperty("rocketmq.namesrv.addr", Inbox.NAME_SERVER); // or -Drocketmq.namesrv.addr=...
        send("system property", producer("system property"));
        System.clearProperty("rocketmq.namesrv.addr");

        if (System.getenv("NAMESRV_ADDR") != null) {
            send("environment", producer("environment"));
        } else {
            System.out.println("environment: NAMESRV_ADDR is not set");
        }

        // in earnest a static file: http://HOST/rocketmq/nsaddr, HOST being jmenv.tbsite.net:8080 unless set
        HttpServer http = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        http.createContext("/rocketmq/nsaddr", exchange -> {
            byte[] addresses = Inbox.NAME_SERVER.getBytes(StandardCharsets.US_ASCII);
            exchange.sendResponseHeaders(200, addresses.length);
            exchange.getResponseBody().write(addresses);
            exchange.close();
        });
        http.start();
        System.setProperty("rocketmq.namesrv.domain", "127.0.0.1:" + http.getAddress().getPort());
        DefaultMQProducer byHttp = producer("HTTP");
        byHttp.setNamesrvAddr(null);
        send("HTTP", byHttp);
        http.stop(0);
    }

    private static DefaultMQProducer producer(String way) {
        DefaultMQProducer producer = new DefaultMQProducer("java-name-server-addresses-producer");
        // clients of one process and one instance name share their connections, and so their name servers
        producer.setInstanceName(way);
        return producer;
    }

    private static void send(String way, DefaultMQProducer producer) throws Exception {
        producer.start();
        byte[] body = way.getBytes(StandardCharsets.UTF_8);
        System.out.println(way + ": " + producer.send(new Message("java-name-server-addresses", body)).getSendStatus());
        producer.shutdown();
    }
}
