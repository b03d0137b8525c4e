import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The stock client's part of the store interchange: writes a known content through one broker and notes it in a manifest,
 * or compares what another broker serves out of the same folder with the manifest.
 *
 * write NAMESRV BROKER MANIFEST PHASE | verify NAMESRV BROKER MANIFEST clean|killed
 */
public class Interchange {
    static final String SINGLE = "IxSingle", BATCH = "IxBatch", DELAY = "IxDelay", RETRY = "IxRetry", PUSH = "IxPush", BURST = "IxBurst";
    static final String RETRY_GROUP = "IxGroupRetry", PUSH_GROUP = "IxGroupPush", OFFSET_GROUP = "IxGroupOffsets";
    static String namesrv, broker, brokerName;
    static Path manifest;
    static DefaultMQAdminExt admin;
    static DefaultMQProducer producer;
    static DefaultMQPullConsumer puller;

    public static void main(String[] a) throws Exception {
        System.setProperty("rocketmq.client.rebalance.waitInterval", "1000");
        namesrv = a[1];
        broker = a[2];
        manifest = Path.of(a[3]);
        long t0 = System.currentTimeMillis();
        int code = 0;
        try {
            open();
            if (a[0].equals("write")) {
                write(Integer.parseInt(a[4]));
            } else {
                verify(a[4].equals("clean"));
            }
        } catch (Throwable t) {
            System.out.println("INTERCHANGE FAIL " + t);
            t.printStackTrace(System.out);
            code = 1;
        }
        System.out.printf("%s took %.1f s%n", a[0], (System.currentTimeMillis() - t0) / 1e3);
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    static void open() throws Exception {
        admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("ix-admin");
        admin.start();
        producer = new DefaultMQProducer("IxProducers");
        producer.setNamesrvAddr(namesrv);
        producer.setSendMsgTimeout(10000);
        producer.start();
        puller = new DefaultMQPullConsumer(OFFSET_GROUP);
        puller.setNamesrvAddr(namesrv);
        puller.start();
        brokerName = admin.examineBrokerClusterInfo().getBrokerAddrTable().keySet().iterator().next();
    }

    // ------------------------------------------------------------------------------------------------------- writing

    /** One line of the manifest: where a message is and what it holds. */
    static final class Entry {
        String topic, msgId, offsetMsgId, tags, keys, note, sha;
        int queue;
        long offset;

        static Entry of(Message m, int queue, long offset, String msgId, String offsetMsgId) {
            Entry e = new Entry();
            e.topic = m.getTopic();
            e.queue = queue;
            e.offset = offset;
            e.msgId = msgId;
            e.offsetMsgId = offsetMsgId;
            e.tags = nil(m.getTags());
            e.keys = nil(m.getKeys());
            e.note = nil(m.getUserProperty("note"));
            e.sha = sha(m.getBody());
            return e;
        }

        static Entry parse(String line) {
            String[] f = line.split("\t", -1);
            Entry e = new Entry();
            e.topic = f[1];
            e.queue = Integer.parseInt(f[2]);
            e.offset = Long.parseLong(f[3]);
            e.msgId = f[4];
            e.offsetMsgId = f[5];
            e.tags = f[6];
            e.keys = f[7];
            e.note = f[8];
            e.sha = f[9];
            return e;
        }

        String line() {
            return String.join("\t", "message", topic, "" + queue, "" + offset, msgId, offsetMsgId, tags, keys, note, sha);
        }

        String place() {
            return topic + "/" + queue + "/" + offset;
        }

        /** Without its place: messages that the broker moves (delayed, retried) keep everything else. */
        String content() {
            return String.join("|", msgId, tags, keys, note, sha);
        }
    }

    static String nil(String s) {
        return s == null ? "" : s;
    }

    static String sha(byte[] b) {
        try {
            StringBuilder s = new StringBuilder();
            for (byte x : Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(b), 10)) {
                s.append(String.format("%02x", x));
            }
            return s.toString();
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Mostly small random bodies; every 50th is text that the client compresses. Some have no tag or no key. */
    static Message message(String topic, int phase, int i) {
        Random r = new Random(phase * 1_000_003L + topic.hashCode() * 31L + i);
        byte[] body = new byte[1 + r.nextInt(400)];
        r.nextBytes(body);
        if (i % 50 == 7) {
            body = ("long body " + i + " äöü ").repeat(400).getBytes(StandardCharsets.UTF_8);
        }
        Message m = new Message(topic, body);
        if (i % 13 != 0) {
            m.setTags("Tag" + (char) ('A' + i % 5));
        }
        if (i % 17 != 0) {
            m.setKeys(Arrays.asList("k" + phase + "-" + i, "shared" + phase + "-" + i % 200));
        }
        if (i % 3 == 0) {
            m.putUserProperty("note", "värde " + i + " ✓");
        }
        return m;
    }

    static void write(int phase) throws Exception {
        long began = System.currentTimeMillis();
        int n = phase == 1 ? 6000 : 1500, batches = phase == 1 ? 160 : 30;
        List<String> lines = new ArrayList<>();
        if (phase == 1) {
            for (String t : Arrays.asList(SINGLE, BATCH, BURST)) {
                topic(t, 4, 6);
            }
            for (String t : Arrays.asList(DELAY, RETRY, PUSH)) {
                topic(t, 2, 6);
            }
            topic("%RETRY%" + RETRY_GROUP, 1, 6);
            // 4.7.1 may lose one of two first commits of a group that come at once; so the first ones come alone
            for (int q = 0; q < 2; q++) {
                admin.updateConsumeOffset(broker, RETRY_GROUP, new MessageQueue(RETRY, brokerName, q), 0);
                admin.updateConsumeOffset(broker, PUSH_GROUP, new MessageQueue(PUSH, brokerName, q), 0);
            }
        }
        List<Message> delayed = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            Message m = message(DELAY, phase, i);
            m.setDelayTimeLevel(1 + i % 2);
            delayed.add(m);
        }
        List<Entry> moving = sendAll(delayed, 1);
        List<Message> retried = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            Message m = message(RETRY, phase, i);
            m.setTags(i < 20 ? "once" : i < 24 ? "dead" : "later");
            retried.add(m);
        }
        List<Entry> tried = sendAll(retried, 1);
        DefaultMQPushConsumer retrying = consumer(RETRY_GROUP, RETRY, new RetryListener(phase == 1 ? 20 + 20 : 20 + 20 + 6));
        List<Message> pushed = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            pushed.add(message(PUSH, phase, i));
        }
        List<Entry> push = sendAll(pushed, 2);
        Collector all = new Collector();
        DefaultMQPushConsumer pushing = consumer(PUSH_GROUP, PUSH, all);

        List<Message> singles = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            singles.add(message(SINGLE, phase, i));
        }
        for (Entry e : sendAll(singles, 4)) {
            lines.add(e.line());
        }
        for (int b = 0; b < batches; b++) {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < 32; i++) {
                batch.add(message(BATCH, phase, b * 32 + i));
            }
            for (Entry e : sendBatch(batch, b % 4)) {
                lines.add(e.line());
            }
        }
        await("the pushed messages", 30, () -> all.got.size() >= push.size());
        pushing.shutdown();
        await("the delayed messages", 30, () -> stored(DELAY) >= phase * 40 + (phase - 1) * 10);
        RetryListener rl = (RetryListener) retrying.getMessageListener();
        await("the retried messages", 40, () -> rl.settled());
        retrying.shutdown();
        for (int q = 0; q < 4; q++) {
            MessageQueue mq = new MessageQueue(SINGLE, brokerName, q);
            admin.updateConsumeOffset(broker, OFFSET_GROUP, mq, 100L * phase + q);
            lines.add(String.join("\t", "offset", OFFSET_GROUP, SINGLE, "" + q, "" + (100L * phase + q)));
        }
        for (Entry e : push) {
            lines.add(e.line());
        }
        for (Entry e : tried) {
            lines.add(e.line());
        }
        for (Entry e : moving) {
            lines.add("delayed" + e.line().substring("message".length()));
        }
        // under way across the stop: a delay of 10 s
        List<Message> pending = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            Message m = message(DELAY, phase, 1000 + i);
            m.setDelayTimeLevel(3);
            pending.add(m);
        }
        for (Entry e : sendAll(pending, 1)) {
            lines.add("delayed" + e.line().substring("message".length()));
        }
        for (int q = 0; q < 4; q++) {
            check(puller.fetchConsumeOffset(new MessageQueue(SINGLE, brokerName, q), true) == 100L * phase + q, "committed offset of queue " + q);
        }
        try (PrintWriter w = new PrintWriter(Files.newBufferedWriter(manifest, java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.APPEND))) {
            lines.forEach(w::println);
        }
        System.out.printf("phase %d: %d single, %d in batches, %d pushed, %d delayed, %d retried, %d ms%n", phase, n, batches * 32,
            push.size(), moving.size() + pending.size(), tried.size(), System.currentTimeMillis() - began);
    }

    static long stored(String topic) throws Exception {
        long n = 0;
        for (MessageQueue q : puller.fetchSubscribeMessageQueues(topic)) {
            n += puller.maxOffset(q);
        }
        return n;
    }

    static void topic(String name, int queues, int perm) throws Exception {
        TopicConfig c = new TopicConfig(name);
        c.setReadQueueNums(queues);
        c.setWriteQueueNums(queues);
        c.setPerm(perm);
        admin.createAndUpdateTopicConfig(broker, c);
        await("the route of " + name, 30, () -> {
            try {
                return admin.examineTopicRouteInfo(name).getQueueDatas().get(0).getReadQueueNums() == queues;
            } catch (Exception e) {
                return false;
            }
        });
    }

    /** One thread a queue, each message confirmed before the next of its queue. */
    static List<Entry> sendAll(List<Message> messages, int queues) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(queues);
        List<Future<List<Entry>>> parts = new ArrayList<>();
        for (int q = 0; q < queues; q++) {
            int queue = q;
            parts.add(pool.submit((Callable<List<Entry>>) () -> {
                List<Entry> done = new ArrayList<>();
                for (int i = queue; i < messages.size(); i += queues) {
                    Message m = messages.get(i);
                    SendResult r = producer.send(m, new MessageQueue(m.getTopic(), brokerName, queue));
                    check(r.getSendStatus() == SendStatus.SEND_OK, "send status " + r.getSendStatus());
                    done.add(Entry.of(m, queue, r.getQueueOffset(), r.getMsgId(), r.getOffsetMsgId()));
                }
                return done;
            }));
        }
        List<Entry> all = new ArrayList<>();
        for (Future<List<Entry>> f : parts) {
            all.addAll(f.get());
        }
        pool.shutdown();
        return all;
    }

    static List<Entry> sendBatch(List<Message> batch, int queue) throws Exception {
        SendResult r = producer.send(batch, new MessageQueue(batch.get(0).getTopic(), brokerName, queue));
        check(r.getSendStatus() == SendStatus.SEND_OK, "batch send status " + r.getSendStatus());
        String[] ids = r.getMsgId().split(","), places = r.getOffsetMsgId().split(",");
        check(ids.length == batch.size() && places.length == batch.size(), "ids of a batch");
        List<Entry> done = new ArrayList<>();
        for (int i = 0; i < ids.length; i++) {
            done.add(Entry.of(batch.get(i), queue, r.getQueueOffset() + i, ids[i], places[i]));
        }
        return done;
    }

    static DefaultMQPushConsumer consumer(String group, String topic, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(group);
        c.setNamesrvAddr(namesrv);
        c.setInstanceName(group + System.nanoTime());
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setPollNameServerInterval(1000);
        c.subscribe(topic, "*");
        c.registerMessageListener(listener);
        c.start();
        return c;
    }

    static final class Collector implements MessageListenerConcurrently {
        final Map<String, MessageExt> got = new ConcurrentHashMap<>();

        @Override
        public ConsumeConcurrentlyStatus consumeMessage(List<MessageExt> msgs, org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext c) {
            msgs.forEach(m -> got.put(m.getMsgId(), m));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }
    }

    /** `once` succeeds at its second delivery, `dead` goes to the dead letters at once, `later` asks for 10 s at its first. */
    static final class RetryListener implements MessageListenerConcurrently {
        final Set<String> first = ConcurrentHashMap.newKeySet(), second = ConcurrentHashMap.newKeySet();
        final int due;

        RetryListener(int due) {
            this.due = due;
        }

        @Override
        public ConsumeConcurrentlyStatus consumeMessage(List<MessageExt> msgs, org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext c) {
            MessageExt m = msgs.get(0);
            if (m.getReconsumeTimes() > 0) {
                second.add(m.getMsgId());
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
            first.add(m.getMsgId());
            c.setDelayLevelWhenNextConsume(m.getTags().equals("dead") ? -1 : m.getTags().equals("later") ? 3 : 1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        }

        boolean settled() {
            return first.size() >= 30 && second.size() >= due - 20;
        }
    }

    // ----------------------------------------------------------------------------------------------------- comparing

    static void verify(boolean clean) throws Exception {
        Map<String, Entry> byPlace = new TreeMap<>();
        Map<String, Entry> delayed = new HashMap<>();
        Map<String, Long> offsets = new TreeMap<>();
        for (String line : Files.readAllLines(manifest)) {
            if (line.startsWith("message\t")) {
                Entry e = Entry.parse(line);
                byPlace.put(e.place(), e);
            } else if (line.startsWith("delayed\t")) {
                Entry e = Entry.parse(line);
                delayed.put(e.content(), e);
            } else {
                String[] f = line.split("\t");
                offsets.put(f[1] + "\t" + f[2] + "\t" + f[3], Long.parseLong(f[4]));
            }
        }
        int read = compareQueues(byPlace);
        System.out.println("every message at its place: " + read + " read, " + byPlace.size() + " in the manifest");
        compareLookups(new ArrayList<>(byPlace.values()));
        for (Map.Entry<String, Long> o : offsets.entrySet()) {
            String[] f = o.getKey().split("\t");
            long is = puller.fetchConsumeOffset(new MessageQueue(f[1], brokerName, Integer.parseInt(f[2])), true);
            check(is == o.getValue(), "committed offset of " + o.getKey().replace('\t', ' ') + " is " + is + ", was " + o.getValue());
        }
        System.out.println("committed offsets: " + offsets.size());
        compareGroups(byPlace.values(), clean);
        await("the delayed messages that were under way", 30, () -> contents(DELAY).containsAll(delayed.keySet()));
        Set<String> extra = new HashSet<>(contents(DELAY));
        extra.removeAll(delayed.keySet());
        check(extra.isEmpty(), "delayed messages nobody sent: " + extra);
        long total = stored(DELAY);
        check(clean ? total == delayed.size() : total >= delayed.size(), DELAY + " holds " + total + " for " + delayed.size());
        System.out.println("delayed: " + delayed.size() + " delivered (" + total + " stored)");
        goOn();
    }

    static int compareQueues(Map<String, Entry> byPlace) throws Exception {
        int read = 0, extras = 0;
        Set<String> missing = new TreeSet<>(byPlace.keySet());
        for (String topic : Arrays.asList(SINGLE, BATCH, PUSH, RETRY, BURST)) {
            for (MessageQueue q : puller.fetchSubscribeMessageQueues(topic)) {
                check(puller.minOffset(q) == 0, "least offset of " + q);
                for (MessageExt m : readQueue(q)) {
                    read++;
                    Entry is = Entry.of(m, q.getQueueId(), m.getQueueOffset(), m.getMsgId(), offsetId(m));
                    Entry was = byPlace.get(is.place());
                    if (was == null) {
                        extras++;
                        check(topic.equals(BURST), "a message nobody sent at " + is.place());
                        continue;
                    }
                    check(is.line().equals(was.line()), "differs:\n  is  " + is.line() + "\n  was " + was.line());
                    check(m.getTopic().equals(topic) && m.getQueueId() == q.getQueueId(), "topic and queue of " + is.place());
                    missing.remove(is.place());
                }
            }
        }
        check(missing.isEmpty(), missing.size() + " messages are missing, first " + (missing.isEmpty() ? "" : missing.iterator().next()));
        if (extras > 0) {
            System.out.println("sent but not acknowledged before the kill, and there: " + extras);
        }
        return read;
    }

    static String offsetId(MessageExt m) {
        return org.apache.rocketmq.common.message.MessageDecoder.createMessageId(m.getStoreHost(), m.getCommitLogOffset());
    }

    static List<MessageExt> readQueue(MessageQueue q) throws Exception {
        List<MessageExt> all = new ArrayList<>();
        long end = puller.maxOffset(q), at = 0;
        while (at < end) {
            PullResult r = puller.pull(q, "*", at, 32);
            check(r.getPullStatus() == PullStatus.FOUND, "pull of " + q + " at " + at + " of " + end + ": " + r);
            for (MessageExt m : r.getMsgFoundList()) {
                check(m.getQueueOffset() == at, q + ": offset " + m.getQueueOffset() + " where " + at + " is due");
                at++;
                all.add(m);
            }
        }
        return all;
    }

    static Set<String> contents(String topic) throws Exception {
        Set<String> all = new HashSet<>();
        for (MessageQueue q : puller.fetchSubscribeMessageQueues(topic)) {
            for (MessageExt m : readQueue(q)) {
                all.add(Entry.of(m, 0, 0, m.getMsgId(), "").content());
            }
        }
        return all;
    }

    /** Samples by key, by unique key and by place; every key of a sample must bring exactly the messages that have it. */
    static void compareLookups(List<Entry> entries) throws Exception {
        Map<String, Set<String>> byKey = new TreeMap<>();
        for (Entry e : entries) {
            for (String k : e.keys.split(" ")) {
                if (!k.isEmpty()) {
                    byKey.computeIfAbsent(e.topic + "\t" + k, x -> new TreeSet<>()).add(e.msgId);
                }
            }
        }
        int keys = 0, i = 0;
        long now = System.currentTimeMillis() + 60000;
        for (Map.Entry<String, Set<String>> k : byKey.entrySet()) {
            String[] f = k.getKey().split("\t");
            if (i++ % (f[1].startsWith("shared") ? 20 : 60) != 0 || f[0].equals(BURST)) {
                continue;
            }
            Set<String> found = new TreeSet<>();
            for (MessageExt m : admin.queryMessage(f[0], f[1], 64, 0, now).getMessageList()) {
                found.add(m.getMsgId());
            }
            check(found.equals(k.getValue()), "key " + k.getKey() + " finds " + found + ", not " + k.getValue());
            keys++;
        }
        int ids = 0;
        for (int n = 0; n < entries.size(); n += 150) {
            Entry e = entries.get(n);
            MessageExt m = admin.viewMessage(e.offsetMsgId);
            check(sha(m.getBody()).equals(e.sha) && m.getQueueOffset() == e.offset, "view by place of " + e.line());
            if (!e.topic.equals(BURST)) {
                MessageExt u = admin.viewMessage(e.topic, e.msgId);
                check(sha(u.getBody()).equals(e.sha) && u.getMsgId().equals(e.msgId), "view by unique key of " + e.line());
            }
            ids++;
        }
        System.out.println("lookups: " + keys + " keys, " + ids + " places and unique keys");
    }

    /** Groups go on where they stood: cleanly stopped, exactly what was left; killed, all of that and perhaps some again. */
    static void compareGroups(Collection<Entry> entries, boolean clean) throws Exception {
        Set<String> later = new TreeSet<>(), dead = new TreeSet<>(), known = new HashSet<>();
        for (Entry e : entries) {
            if (e.topic.equals(RETRY)) {
                known.add(e.msgId);
                if (e.tags.equals("later")) {
                    later.add(e.msgId);
                } else if (e.tags.equals("dead")) {
                    dead.add(e.msgId);
                }
            }
        }
        if (!clean) {
            // the first phase's were consumed in the second; only the second's can be due (others may come again)
            later.removeIf(id -> entries.stream().anyMatch(e -> e.msgId.equals(id) && e.topic.equals(RETRY) && e.keys.startsWith("k1-")));
        }
        Collector again = new Collector(), fresh = new Collector();
        DefaultMQPushConsumer a = consumer(RETRY_GROUP, RETRY, again), b = consumer(PUSH_GROUP, PUSH, fresh);
        Set<String> sent = new TreeSet<>();
        List<Message> more = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            more.add(message(PUSH, 9, i));
        }
        sendAll(more, 2).forEach(e -> sent.add(e.msgId));
        await("the new messages of " + PUSH_GROUP, 30, () -> fresh.got.keySet().containsAll(sent));
        await("the retried messages that were under way", 40, () -> again.got.keySet().containsAll(later));
        Thread.sleep(300);
        check(!clean || fresh.got.keySet().equals(sent), PUSH_GROUP + " got " + fresh.got.size() + " messages, " + sent.size() + " were new");
        check(!clean || again.got.keySet().equals(later), RETRY_GROUP + " got " + again.got.keySet() + " not " + later);
        check(known.containsAll(again.got.keySet()), RETRY_GROUP + " got unknown messages");
        for (String id : later) {
            check(again.got.get(id).getReconsumeTimes() == 1, "reconsume times of " + id + ": " + again.got.get(id).getReconsumeTimes());
        }
        a.shutdown();
        b.shutdown();
        topic("%DLQ%" + RETRY_GROUP, 1, 6);
        Set<String> letters = new TreeSet<>();
        for (MessageExt m : readQueue(new MessageQueue("%DLQ%" + RETRY_GROUP, brokerName, 0))) {
            letters.add(m.getMsgId());
        }
        check(letters.equals(dead), "dead letters " + letters + " not " + dead);
        System.out.println("groups: " + later.size() + " retries went on, " + fresh.got.size() + " for " + sent.size() + " new, " + dead.size() + " dead letters");
    }

    /** The broker under test appends where the other one ended. */
    static void goOn() throws Exception {
        MessageQueue q = new MessageQueue(SINGLE, brokerName, 1);
        long end = puller.maxOffset(q);
        Map<Long, String> sent = new TreeMap<>();
        for (int i = 0; i < 100; i++) {
            Message m = message(SINGLE, 8, i);
            SendResult r = producer.send(m, q);
            check(r.getQueueOffset() == end + i, "a new message gets offset " + r.getQueueOffset() + ", the queue ended at " + end);
            sent.put(r.getQueueOffset(), sha(m.getBody()));
        }
        List<MessageExt> all = readQueue(q);
        for (int i = 0; i < 100; i++) {
            check(sha(all.get((int) end + i).getBody()).equals(sent.get(end + i)), "new message " + i);
        }
        System.out.println("appended 100 from offset " + end);
    }

    static void check(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    static void await(String what, int seconds, Callable<Boolean> done) throws Exception {
        long end = System.currentTimeMillis() + seconds * 1000L;
        while (!done.call()) {
            check(System.currentTimeMillis() < end, "not within " + seconds + " s: " + what);
            Thread.sleep(100);
        }
    }
}
