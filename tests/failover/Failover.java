import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The stock client's part of the failover test: a steady load of ordered, delayed and transactional messages through a
 * cluster whose servers are killed meanwhile by somebody else, who notes what happened in a file of events.
 *
 * Failover NAMESRVS EVENTS timers|levels THIRD|- BROKER=ADDRESS ...
 * Failover NAMESRVS THIRD                                        a third consumer of the ordered messages, to be killed
 *
 * Says `topics` once they are there and `steady` once everything flows. The events are lines of two words: `consumer killed`, `killed BROKER`, `back BROKER`,
 * each with its time in ms behind it, and `end`, after which it waits for what is under way, judges and reports. The third
 * consumer writes what it is given to the file THIRD.
 */
public class Failover {
    /** Ordered by key as long as the queues stay the same; ordered by key always, for its queues are named in the name server. */
    static final String ORDER = "FoOrder", STRICT = "FoStrict", DELAY = "FoDelay", TX = "FoTx";
    static final int QUEUES = 4, KEYS = 8;
    static final long PAUSE_MS = 40, DRAIN_MS = 90_000;

    /** One acknowledged message. */
    static final class Sent {
        String id, broker;
        long began, acked;
        /** When a delayed one may come at the earliest, and by when it is due at the latest. */
        long earliest, due;
    }

    /** One message given to a consumer. */
    static final class Given {
        String id, broker;
        long offset, at;
    }

    /** All that is sent to one topic, and what came of it. */
    static final class Flow {
        final String topic;
        final Queue<Sent> acked = new ConcurrentLinkedQueue<>();
        final Queue<Long> failedAt = new ConcurrentLinkedQueue<>();
        final Queue<Given> given = new ConcurrentLinkedQueue<>();
        final Map<String, Integer> times = new ConcurrentHashMap<>();
        final Map<String, List<Given>> queues = new ConcurrentHashMap<>();
        final Map<String, String> busy = new ConcurrentHashMap<>();

        Flow(String topic) {
            this.topic = topic;
        }

        void took(MessageExt m, String broker) {
            took(new String(m.getBody(), StandardCharsets.UTF_8), broker, broker + "/" + m.getQueueId(), m.getQueueOffset(), System.currentTimeMillis());
        }

        void took(String id, String broker, String queue, long offset, long at) {
            Given g = new Given();
            g.id = id;
            g.broker = broker;
            g.offset = offset;
            g.at = at;
            given.add(g);
            times.merge(g.id, 1, Integer::sum);
            queues.computeIfAbsent(queue, k -> Collections.synchronizedList(new ArrayList<>())).add(g);
        }
    }

    /** What happened to the servers. */
    static final class Outage {
        String broker;
        long killed, back = Long.MAX_VALUE, heard, until;
    }

    static String namesrvs;
    static Path events, third;
    static long thirdKilled = Long.MAX_VALUE;
    static final java.util.Set<String> thirdsQueues = new java.util.TreeSet<>();
    static boolean timers;
    static final Map<String, String> brokers = new java.util.TreeMap<>();
    static final Map<String, Flow> flows = new java.util.LinkedHashMap<>();
    static final List<Outage> outages = new ArrayList<>();
    static final List<String> faults = Collections.synchronizedList(new ArrayList<>());
    /** What the producer of each transaction decided. */
    static final Map<String, LocalTransactionState> decided = new ConcurrentHashMap<>();
    static final AtomicLong asked = new AtomicLong();
    static volatile boolean stopped;

    public static void main(String[] a) throws Exception {
        namesrvs = a[0];
        flows.put(ORDER, new Flow(ORDER));
        if (a.length == 2) {
            third(Path.of(a[1]));
            return;
        }
        events = Path.of(a[1]);
        timers = a[2].equals("timers");
        third = a[3].equals("-") ? null : Path.of(a[3]);
        for (String broker : Arrays.copyOfRange(a, 4, a.length)) {
            brokers.put(broker.split("=")[0], broker.split("=")[1]);
        }
        int code = 0;
        try {
            run();
        } catch (Throwable t) {
            t.printStackTrace(System.out);
            faults.add("the test itself: " + t);
        }
        for (String fault : faults.subList(0, Math.min(40, faults.size()))) {
            System.out.println("FAULT " + fault);
            code = 1;
        }
        System.out.println("failover: " + (code == 0 ? "nothing lost, order kept" : faults.size() + " faults"));
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    static void run() throws Exception {
        for (String topic : Arrays.asList(STRICT, DELAY, TX)) {
            flows.put(topic, new Flow(topic));
        }
        topics();
        System.out.println("topics");
        for (String name : Arrays.asList("one", "two")) {
            orderly(ORDER, name);
            orderly(STRICT, name);
        }
        concurrently(DELAY);
        concurrently(TX);
        List<Thread> senders = new ArrayList<>();
        for (String topic : Arrays.asList(ORDER, STRICT)) {
            DefaultMQProducer p = start(new DefaultMQProducer("P" + topic), "P" + topic);
            for (int key = 0; key < KEYS; key++) {
                int k = key;
                senders.add(thread(topic + k, () -> ordered(p, flows.get(topic), k)));
            }
        }
        DefaultMQProducer delayer = start(new DefaultMQProducer("P" + DELAY), "P" + DELAY);
        TransactionMQProducer decider = transactional();
        for (int t = 0; t < 2; t++) {
            int n = t;
            senders.add(thread("delay" + n, () -> delayed(delayer, n)));
            senders.add(thread("tx" + n, () -> transactions(decider, n)));
        }
        await("something of every topic from every broker", 60_000, () -> flows.values().stream().allMatch(
            f -> brokers.keySet().stream().allMatch(b -> f.given.stream().anyMatch(g -> g.broker.equals(b)))));
        await("something for the third consumer", 60_000, () -> third == null || third.toFile().length() > 0);
        System.out.println("steady");
        System.out.flush();
        follow();
        stopped = true;
        for (Thread t : senders) {
            t.join(30_000);
        }
        long ended = System.currentTimeMillis();
        addThird();
        try {
            await("all that was acknowledged", DRAIN_MS, () -> flows.values().stream().allMatch(f -> missing(f).isEmpty()));
        } catch (IllegalStateException late) {
            flows.values().forEach(f -> missing(f).forEach(s -> faults.add(f.topic + ": lost " + s.id + ", acknowledged by " + s.broker + " at " + s.acked)));
        }
        System.out.printf("all delivered %.1f s after the last send%n", (System.currentTimeMillis() - ended) / 1e3);
        // what must never come gets the time to come: the longest delay, and two rounds of questions
        Thread.sleep(10_000);
        judge();
        report();
    }

    // -------------------------------------------------------------------------------------------------- the load

    static void topics() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(namesrvs);
        admin.setInstanceName("admin");
        admin.start();
        for (String topic : flows.keySet()) {
            for (String address : brokers.values()) {
                TopicConfig c = new TopicConfig(topic);
                c.setReadQueueNums(QUEUES);
                c.setWriteQueueNums(QUEUES);
                c.setOrder(topic.equals(STRICT));
                admin.createAndUpdateTopicConfig(address, c);
            }
        }
        String order = brokers.keySet().stream().map(b -> b + ":" + QUEUES).collect(Collectors.joining(";"));
        admin.createOrUpdateOrderConf(STRICT, order, true);
        await("the routes", 60_000, () -> {
            try {
                for (String topic : flows.keySet()) {
                    if (admin.examineTopicRouteInfo(topic).getQueueDatas().size() != brokers.size()) {
                        return false;
                    }
                }
                return order.equals(admin.examineTopicRouteInfo(STRICT).getOrderTopicConf());
            } catch (Exception e) {
                return false;
            }
        });
        admin.shutdown();
    }

    static <P extends DefaultMQProducer> P start(P p, String instance) throws Exception {
        p.setNamesrvAddr(namesrvs);
        p.setInstanceName(instance);
        p.start();
        return p;
    }

    static DefaultMQPushConsumer consumer(String topic, String name) throws Exception {
        DefaultMQPushConsumer c = new DefaultMQPushConsumer("G" + topic);
        c.setNamesrvAddr(namesrvs);
        c.setInstanceName("C" + topic + name);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.subscribe(topic, "*");
        return c;
    }

    static void concurrently(String topic) throws Exception {
        DefaultMQPushConsumer c = consumer(topic, "");
        c.registerMessageListener((MessageListenerConcurrently) (msgs, context) -> {
            msgs.forEach(m -> flows.get(topic).took(m, context.getMessageQueue().getBrokerName()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
    }

    static void orderly(String topic, String name) throws Exception {
        Flow flow = flows.get(topic);
        DefaultMQPushConsumer c = consumer(topic, name);
        c.registerMessageListener((MessageListenerOrderly) (msgs, context) -> {
            String queue = context.getMessageQueue().getBrokerName() + "/" + context.getMessageQueue().getQueueId();
            String other = flow.busy.putIfAbsent(queue, name);
            if (other != null) {
                faults.add(topic + ": " + queue + " consumed by " + other + " and " + name + " at once");
            }
            msgs.forEach(m -> flow.took(m, context.getMessageQueue().getBrokerName()));
            flow.busy.remove(queue, name);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        c.start();
    }

    /** Consumes until it is killed, and writes each message down before it is done. */
    static void third(Path file) throws Exception {
        java.io.Writer out = Files.newBufferedWriter(file);
        DefaultMQPushConsumer c = consumer(ORDER, "third");
        c.registerMessageListener((MessageListenerOrderly) (msgs, context) -> {
            synchronized (out) {
                try {
                    for (MessageExt m : msgs) {
                        out.write(String.join("\t", context.getMessageQueue().getBrokerName(), "" + m.getQueueId(), "" + m.getQueueOffset(),
                            "" + System.currentTimeMillis(), new String(m.getBody(), StandardCharsets.UTF_8)) + "\n");
                    }
                    out.flush();
                } catch (java.io.IOException e) {
                    throw new IllegalStateException(e);
                }
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        c.start();
        Thread.currentThread().join();
    }

    /** Adds what the killed consumer was given, before that which others were given later. */
    static void addThird() throws Exception {
        Flow flow = flows.get(ORDER);
        for (String line : third == null ? List.<String>of() : Files.readAllLines(third)) {
            String[] f = line.split("\t");
            if (f.length == 5) { // the last line may be cut
                String queue = f[0] + "/" + f[1];
                flow.took(f[4], f[0], queue, Long.parseLong(f[2]), Long.parseLong(f[3]));
                thirdsQueues.add(queue);
            }
        }
        for (String queue : thirdsQueues) {
            List<Given> given = flow.queues.get(queue);
            synchronized (given) {
                given.sort((x, y) -> Long.compare(x.at, y.at));
            }
        }
    }

    /** The messages of one key, each confirmed before the next; what failed is sent again, as a careful producer does. */
    static void ordered(DefaultMQProducer p, Flow flow, int key) throws Exception {
        for (int seq = 0; !stopped; ) {
            Message m = new Message(flow.topic, bytes(key + " " + seq));
            Sent s = attempt(flow, key + " " + seq, () -> p.send(m, (queues, x, k) -> queues.get((Integer) k % queues.size()), key));
            seq += s == null ? 0 : 1;
            Thread.sleep(s == null ? 200 : PAUSE_MS);
        }
    }

    static void delayed(DefaultMQProducer p, int thread) throws Exception {
        for (int n = 0; !stopped; n++) {
            String id = thread + "-" + n;
            Message m = new Message(DELAY, bytes(id));
            long now = System.currentTimeMillis(), delay, until = 0;
            switch (n % (timers ? 6 : 3)) {
                case 0: m.setDelayTimeLevel(1); delay = 1000; break;
                case 1: m.setDelayTimeLevel(2); delay = 5000; break;
                case 2: m.setDelayTimeLevel(3); delay = 10_000; break;
                case 3: m.putUserProperty("TIMER_DELAY_MS", "1500"); delay = 1500; break;
                case 4: m.putUserProperty("TIMER_DELAY_SEC", "4"); delay = 4000; break;
                default: delay = 7000; until = now + delay; m.putUserProperty("TIMER_DELIVER_MS", "" + until);
            }
            Sent s = attempt(flows.get(DELAY), id, () -> p.send(m));
            if (s != null) {
                s.earliest = until > 0 ? until : s.began + delay;
                s.due = until > 0 ? until : s.acked + delay;
            }
            Thread.sleep(PAUSE_MS);
        }
    }

    static TransactionMQProducer transactional() throws Exception {
        TransactionMQProducer p = new TransactionMQProducer("P" + TX);
        p.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message m, Object decision) {
                decided.put(new String(m.getBody(), StandardCharsets.UTF_8), (LocalTransactionState) decision);
                int n = Integer.parseInt(new String(m.getBody(), StandardCharsets.UTF_8).split("-")[1]);
                // one in four leaves it to the broker to ask
                return n % 4 == 3 ? LocalTransactionState.UNKNOW : (LocalTransactionState) decision;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt m) {
                asked.incrementAndGet();
                // what was never acknowledged was never begun
                return decided.getOrDefault(new String(m.getBody(), StandardCharsets.UTF_8), LocalTransactionState.ROLLBACK_MESSAGE);
            }
        });
        return start(p, "P" + TX);
    }

    static void transactions(TransactionMQProducer p, int thread) throws Exception {
        for (int n = 0; !stopped; n++) {
            String id = thread + "-" + n;
            LocalTransactionState end = n / 4 % 3 == 0 ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.COMMIT_MESSAGE;
            attempt(flows.get(TX), id, () -> p.sendMessageInTransaction(new Message(TX, bytes(id)), end));
            Thread.sleep(2 * PAUSE_MS);
        }
    }

    interface Send {
        SendResult go() throws Exception;
    }

    static Sent attempt(Flow flow, String id, Send send) {
        Sent s = new Sent();
        s.began = System.currentTimeMillis();
        try {
            SendResult r = send.go();
            s.acked = System.currentTimeMillis();
            if (r.getSendStatus() == SendStatus.SEND_OK) {
                s.id = id;
                s.broker = r.getMessageQueue().getBrokerName();
                flow.acked.add(s);
                return s;
            }
        } catch (Exception e) {
            // counted like a send that was refused
        }
        flow.failedAt.add(System.currentTimeMillis());
        return null;
    }

    /** Reads events until the end. */
    static void follow() throws Exception {
        for (int read = 0; ; Thread.sleep(50)) {
            List<String> lines = Files.exists(events) ? Files.readAllLines(events) : List.of();
            for (; read < lines.size(); read++) {
                String[] f = lines.get(read).split(" ");
                if (f[0].equals("end")) {
                    return;
                }
                if (f[0].equals("consumer")) {
                    thirdKilled = Long.parseLong(f[2]);
                    continue;
                }
                Outage o = f[0].equals("killed") ? new Outage() : outages.get(outages.size() - 1);
                if (f[0].equals("killed")) {
                    o.broker = f[1];
                    o.killed = Long.parseLong(f[2]);
                    outages.add(o);
                } else {
                    o.back = Long.parseLong(f[2]);
                }
            }
        }
    }

    // --------------------------------------------------------------------------------------------------- judging

    /** Whether a message has to come: all but transactions that their producer rolled back. */
    static boolean wanted(Flow flow, String id) {
        return !flow.topic.equals(TX) || decided.get(id) == LocalTransactionState.COMMIT_MESSAGE;
    }

    static List<Sent> missing(Flow flow) {
        return flow.acked.stream().filter(s -> wanted(flow, s.id) && !flow.times.containsKey(s.id)).collect(Collectors.toList());
    }

    static void judge() {
        flows.get(TX).times.keySet().stream().filter(id -> !wanted(flows.get(TX), id))
            .forEach(id -> faults.add(TX + ": delivered " + id + ", whose producer decided " + decided.get(id)));
        for (String topic : Arrays.asList(ORDER, STRICT)) {
            flows.get(topic).queues.forEach((queue, given) -> inOrder(topic + " " + queue, given));
        }
        Map<String, String> queueOf = new HashMap<>();
        flows.get(STRICT).queues.forEach((queue, given) -> given.forEach(g -> {
            String before = queueOf.put(g.id.split(" ")[0], queue);
            if (before != null && !before.equals(queue)) {
                faults.add(STRICT + ": key " + g.id.split(" ")[0] + " in " + before + " and " + queue);
            }
        }));
        Map<String, Long> first = new HashMap<>();
        flows.get(DELAY).given.forEach(g -> first.merge(g.id, g.at, Math::min));
        for (Sent s : flows.get(DELAY).acked) {
            if (first.getOrDefault(s.id, Long.MAX_VALUE) < s.earliest) {
                faults.add(DELAY + ": " + s.id + " came " + (s.earliest - first.get(s.id)) + " ms early");
            }
        }
    }

    /** A queue is given without a gap, steps back only to what was given before, and holds each key in its sequence. */
    static void inOrder(String queue, List<Given> given) {
        Map<Long, String> ids = new HashMap<>();
        Map<String, Integer> seqs = new HashMap<>();
        long next = 0;
        for (Given g : given) {
            String[] f = g.id.split(" ");
            int seq = Integer.parseInt(f[1]);
            String before = ids.putIfAbsent(g.offset, g.id);
            if (before != null) {
                if (!before.equals(g.id)) {
                    faults.add(queue + ": offset " + g.offset + " was " + before + " and is " + g.id);
                }
                continue;
            }
            if (g.offset != next) {
                faults.add(queue + ": offset " + g.offset + " given after " + (next - 1));
            }
            next = g.offset + 1;
            if (seqs.getOrDefault(f[0], -1) > seq) {
                faults.add(queue + ": key " + f[0] + " goes back from " + seqs.get(f[0]) + " to " + seq);
            }
            seqs.put(f[0], seq);
        }
    }

    // ------------------------------------------------------------------------------------------------- reporting

    static void report() {
        System.out.println("| topic | acknowledged | failed sends | of them after the start | longest send, ms | given again |");
        System.out.println("| --- | --- | --- | --- | --- | --- |");
        for (Flow f : flows.values()) {
            long late = f.failedAt.stream().filter(t -> outages.stream().anyMatch(o -> t > o.back)).count();
            System.out.printf("| %s | %d | %d | %d | %d | %d |%n", f.topic, f.acked.size(), f.failedAt.size(), late,
                f.acked.stream().mapToLong(s -> s.acked - s.began).max().orElse(0), f.given.size() - f.times.size());
        }
        for (int n = 0; n < outages.size(); n++) {
            Outage o = outages.get(n);
            o.until = n + 1 < outages.size() ? outages.get(n + 1).killed : Long.MAX_VALUE;
            System.out.printf("%s was away for %.1f s (- is never):%n", o.broker, (o.back - o.killed) / 1e3);
            System.out.println("| topic | last failed send, s after the kill | first send to it, s after its start | first message from it, s after its start | longest silence of the other broker, s |");
            System.out.println("| --- | --- | --- | --- | --- |");
            for (Flow f : flows.values()) {
                System.out.printf("| %s | %s | %s | %s | %.1f |%n", f.topic,
                    since(o.killed, f.failedAt.stream().mapToLong(t -> t).filter(t -> t >= o.killed && t < o.until).max()),
                    since(o.back, f.acked.stream().filter(s -> s.broker.equals(o.broker)).mapToLong(s -> s.acked).filter(t -> t > o.back).min()),
                    since(o.back, f.given.stream().filter(g -> g.broker.equals(o.broker)).mapToLong(g -> g.at).filter(t -> t > o.back).min()),
                    silence(f, g -> !g.broker.equals(o.broker), o) / 1e3);
            }
        }
        for (String queue : thirdsQueues) {
            java.util.OptionalLong next = flows.get(ORDER).queues.get(queue).stream().mapToLong(g -> g.at).filter(t -> t > thirdKilled).min();
            System.out.printf("%s %s went on %s s after its consumer was killed%n", ORDER, queue, since(thirdKilled, next));
        }
        lateness();
        long byAsking = decided.keySet().stream().filter(id -> Integer.parseInt(id.split("-")[1]) % 4 == 3).count();
        System.out.printf("transactions: %d begun, %d of them left to be asked for, %d questions came%n", decided.size(), byAsking, asked.get());
    }

    static String since(long from, java.util.OptionalLong at) {
        return at.isPresent() ? String.format("%.1f", (at.getAsLong() - from) / 1e3) : "-";
    }

    static long silence(Flow f, Predicate<Given> of, Outage o) {
        long last = o.killed, longest = 0;
        for (long t : f.given.stream().filter(of).mapToLong(g -> g.at).filter(t -> t >= o.killed && t < o.until).sorted().toArray()) {
            longest = Math.max(longest, t - last);
            last = t;
        }
        return longest;
    }

    /** How late delayed messages were: those due on a killed broker until its consumers were back, and all others. */
    static void lateness() {
        Map<String, Long> first = new HashMap<>();
        flows.get(DELAY).given.forEach(g -> first.merge(g.id, g.at, Math::min));
        List<Long> held = new ArrayList<>(), others = new ArrayList<>();
        for (Outage o : outages) {
            o.heard = flows.get(DELAY).given.stream().filter(g -> g.broker.equals(o.broker)).mapToLong(g -> g.at).filter(t -> t > o.back).min().orElse(Long.MAX_VALUE);
        }
        for (Sent s : flows.get(DELAY).acked) {
            if (first.containsKey(s.id)) {
                boolean away = outages.stream().anyMatch(o -> o.broker.equals(s.broker) && s.due > o.killed && s.due < o.heard);
                (away ? held : others).add(Math.max(0, first.get(s.id) - s.due));
            }
        }
        Consumer<List<Long>> line = late -> {
            Collections.sort(late);
            int n = late.size();
            System.out.printf("%d, late by %d ms (median), %d (99 of 100), %d (most)%n", n, n == 0 ? 0 : late.get(n / 2),
                n == 0 ? 0 : late.get(n * 99 / 100), n == 0 ? 0 : late.get(n - 1));
        };
        System.out.print("delayed messages due on that broker until consumers were back: ");
        line.accept(held);
        System.out.print("all other delayed messages: ");
        line.accept(others);
    }

    // --------------------------------------------------------------------------------------------------- helpers

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    interface Body {
        void run() throws Exception;
    }

    static Thread thread(String name, Body body) {
        Thread t = new Thread(() -> {
            try {
                body.run();
            } catch (Exception e) {
                faults.add("the sender " + name + ": " + e);
            }
        }, name);
        t.start();
        return t;
    }

    interface Condition {
        boolean met();
    }

    static void await(String what, long ms, Condition condition) throws Exception {
        for (long end = System.currentTimeMillis() + ms; !condition.met(); Thread.sleep(100)) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("not within " + ms + " ms: " + what);
            }
        }
    }
}
