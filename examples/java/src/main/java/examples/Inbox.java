package examples;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What all examples share: where the name server is, and a place where consumers note what they saw. */
final class Inbox {
    static final String NAME_SERVER = System.getenv().getOrDefault("NAMESRV_ADDR", "127.0.0.1:9876");
    private static final long PATIENCE_MS = 120_000;

    private final List<String> lines = new ArrayList<>();

    synchronized void add(String line) {
        lines.add(line);
        notifyAll();
    }

    synchronized int size() {
        return lines.size();
    }

    /** Waits for that many lines and returns them sorted, since messages of several queues come in any order. */
    synchronized List<String> await(int count) throws InterruptedException {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (lines.size() < count) {
            long left = end - System.currentTimeMillis();
            if (left <= 0) {
                throw new IllegalStateException("waited for " + count + " lines, got " + lines);
            }
            wait(left);
        }
        List<String> sorted = new ArrayList<>(lines);
        Collections.sort(sorted);
        return sorted;
    }

    /** Waits for that many lines and prints them. */
    void print(int count) throws InterruptedException {
        await(count).forEach(System.out::println);
    }
}
