#!/usr/bin/env python3
"""The client of timers/run.sh: `fill ADDRESS COUNT` sends messages due within a year, `sample ADDRESS PID COUNT` measures."""
import json
import os
import random
import sys
import time

import mq

FAR, SOON, WINDOW = "TimersFar", "TimersSoon", 512
RUNTIME = 28
TICKS = os.sysconf("SC_CLK_TCK")


def send_all(conn, topic, items):
    """Sends with many requests under way; `items` yields (key, due ms, body)."""
    waiting = 0
    for key, due, body in items:
        props = "UNIQ_KEY\x01%s\x02TIMER_DELIVER_MS\x01%d\x02WAIT\x01true\x02" % (key, due)
        conn.post(mq.SEND, mq.send_fields("timers", topic, 0, props), body)
        waiting += 1
        if waiting == WINDOW:
            for _ in range(WINDOW // 2):
                answer(conn)
            waiting -= WINDOW // 2
    for _ in range(waiting):
        answer(conn)


def answer(conn):
    head, _ = conn.take()
    if head["code"] != 0:
        raise mq.Refused(head["code"], head.get("remark"))


def fill(address, count):
    conn, rng = mq.Conn(address), random.Random(7)
    conn.create_topic(FAR, 1)
    start, now = time.monotonic(), int(time.time() * 1000)
    body = bytes(100)
    send_all(conn, FAR, (("far-%d" % n, now + rng.randrange(3_600_000, 365 * 86_400_000), body) for n in range(count)))
    print("%d sent in %.1f s" % (count, time.monotonic() - start))


def status(pid):
    fields = dict(line.split(":", 1) for line in open("/proc/%s/status" % pid) if ":" in line)
    kib = lambda name: int(fields[name].split()[0]) // 1024
    return kib("RssAnon"), kib("VmRSS")


def cpu_seconds(pid):
    fields = open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def share(pid, seconds, work):
    start, before = time.monotonic(), cpu_seconds(pid)
    work()
    left = seconds - (time.monotonic() - start)
    if left > 0:
        time.sleep(left)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - start)


def pending(conn):
    return json.loads(conn.call(RUNTIME)[1])["table"].get("timerPending", "?")


def sample(address, pid, count):
    conn, rng = mq.Conn(address), random.Random(time.time_ns())
    conn.create_topic(SOON, 1)
    idle = share(pid, 10, lambda: None)
    anon, rss = status(pid)
    waiting = pending(conn)
    first = conn.max_offset(SOON, 0)
    run = "%x" % time.time_ns()
    wanted = {}

    def items():
        base = int(time.time() * 1000) + 3_000
        for n in range(count):
            wanted[str(n)] = base + rng.randrange(10_000)
            yield "%s-%d" % (run, n), wanted[str(n)], str(n).encode()

    def work():
        send_all(conn, SOON, items())
        until = time.monotonic() + 60
        while conn.max_offset(SOON, 0) < first + count and time.monotonic() < until:
            time.sleep(0.2)

    busy = share(pid, 14, work)
    end = conn.max_offset(SOON, 0)
    late = []
    for record in conn.drain(SOON, 0, first, end):
        # A kill before may repeat some of an earlier sample.
        if record.property("UNIQ_KEY").startswith(run):
            late.append(record.store_timestamp - wanted.pop(record.body.decode()))
    late.sort()
    if wanted or late[0] < 0 or late[len(late) // 2] > 100:
        sys.exit("%d missing, earliest %d ms, median %d ms" % (len(wanted), late[0], late[len(late) // 2]))
    at = lambda part: late[min(len(late) - 1, int(len(late) * part))]
    print(" | ".join(str(x) for x in (at(0.5), at(0.99), late[-1], anon, rss, "%.1f" % idle, "%.1f" % busy, waiting)))


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        sample(sys.argv[2], sys.argv[3], int(sys.argv[4]))
