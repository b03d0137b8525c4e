#!/usr/bin/env python3
"""Sends under load, kills the broker with -9, starts it again, and checks every queue against what was acknowledged.

One round: start; read what is new in every queue and compare; send from several connections for a random moment; kill.
Checked, per queue: offsets without a gap; every acknowledged message at its offset with its body; no message twice; the
messages of one sender in the order it sent them (each waits for its answer before the next to the same queue). Some keys are looked up after every start. After the last round all queues are read again from their beginning.
"""
import argparse
import os
import random
import selectors
import signal
import struct
import subprocess
import sys
import time

import mq

TOPIC, QUEUES, SENDERS, BATCH = "Kill9", 8, 4, 4
BODY = struct.Struct(">IIQ")  # round, sender, sequence


class Sender:
    """One connection with at most one request under way per queue; `batch` messages a request."""

    def __init__(self, number, address, batch):
        self.number, self.batch = number, batch
        self.conn = mq.Conn(address)
        self.conn.socket.setblocking(False)
        self.out, self.waiting = bytearray(), {}

    def post(self, queue, state):
        items = []
        for _ in range(self.batch):
            state.sequence += 1
            body = BODY.pack(state.round, self.number, state.sequence) + state.filler[:state.rng.randrange(1200)]
            items.append((state.sequence, body))
        self.conn.opaque += 1
        if self.batch == 1:
            sequence, body = items[0]
            fields, code = mq.send_fields("kill9", TOPIC, queue, mq.properties({"KEYS": "k%d" % sequence, "WAIT": "true"})), mq.SEND
        else:
            body = mq.batch_body((b, mq.properties({"KEYS": "k%d" % s})) for s, b in items)
            fields, code = mq.send_fields("kill9", TOPIC, queue, mq.properties({"WAIT": "true"}), batch=True), mq.SEND_BATCH
        self.waiting[self.conn.opaque] = (queue, items)
        self.out += mq.frame(code, self.conn.opaque, fields, body)

    def flush(self):
        if self.out:
            try:
                del self.out[:self.conn.socket.send(self.out)]
            except BlockingIOError:
                pass

    def answers(self):
        data = self.conn.socket.recv(1 << 18)
        if not data:
            raise EOFError
        return self.conn.frames.feed(data)


class State:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.filler = bytes(self.rng.randrange(256) for _ in range(1200))
        self.round = self.sequence = self.refused = 0
        self.acknowledged = [{} for _ in range(QUEUES)]   # offset -> (sequence, body)
        self.stored = [[] for _ in range(QUEUES)]         # sequence at each offset, as read after a start
        self.bodies, self.seen, self.last = {}, set(), {}
        self.unanswered_found = self.cut_batches = self.key_wait = 0
        self.batches = []


def load(state, address, seconds, pid):
    """Sends until `seconds` have passed, then kills; what is answered before the connection breaks counts."""
    senders = [Sender(i, address, BATCH if i == SENDERS - 1 else 1) for i in range(SENDERS)]
    poll = selectors.DefaultSelector()
    for s in senders:
        poll.register(s.conn.socket, selectors.EVENT_READ, s)
        for q in range(QUEUES):
            s.post(q, state)
        s.flush()
    end, killed, count = time.monotonic() + seconds, None, 0
    while poll.get_map():
        now = time.monotonic()
        if killed is None and now >= end:
            os.kill(pid, signal.SIGKILL)
            killed = now
        if killed is not None and now - killed > 5:
            raise SystemExit("a connection is still open 5 s after the kill")
        for key, _ in poll.select(0.005):
            s = key.data
            try:
                for head, _ in s.answers():
                    queue, items = s.waiting.pop(head["opaque"])
                    if head["code"] == 0:
                        first = int(head["extFields"]["queueOffset"])
                        for i, item in enumerate(items):
                            if state.acknowledged[queue].setdefault(first + i, item) is not item:
                                raise SystemExit("queue %d: offset %d acknowledged twice" % (queue, first + i))
                        count += len(items)
                    else:
                        state.refused += 1
                    if killed is None:
                        s.post(queue, state)
                s.flush()
            except (EOFError, ConnectionError):
                poll.unregister(s.conn.socket)
                s.conn.close()
        if killed is None:
            for s in senders:
                s.flush()
    for s in senders:
        state.batches += [[seq for seq, _ in items] for _, items in s.waiting.values() if len(items) > 1]
    return count


def check_record(state, queue, r, fresh):
    round_, sender, sequence = BODY.unpack_from(r.body)
    if (r.topic, r.queue) != (TOPIC, queue):
        raise AssertionError("queue %d: a record of %s/%d" % (queue, r.topic, r.queue))
    if r.property("KEYS") != "k%d" % sequence:
        raise AssertionError("queue %d: offset %d has other properties than were sent" % (queue, r.queue_offset))
    if not fresh:
        return sequence
    if sequence in state.seen:
        raise AssertionError("queue %d: message %d of round %d is there twice" % (queue, sequence, round_))
    state.seen.add(sequence)
    if state.last.get((sender, queue), 0) >= sequence:
        raise AssertionError("queue %d: message %d of sender %d after %d" % (queue, sequence, sender, state.last[sender, queue]))
    state.last[sender, queue] = sequence
    due = state.acknowledged[queue].get(r.queue_offset)
    if due is None:
        state.unanswered_found += 1
    elif due != (sequence, r.body):
        raise AssertionError("queue %d: offset %d holds message %d, acknowledged was %d" % (queue, r.queue_offset, sequence, due[0]))
    return sequence


def verify(state, address):
    conn = mq.Conn(address)
    fresh = 0
    for queue in range(QUEUES):
        due = max(state.acknowledged[queue], default=-1) + 1
        until = time.monotonic() + 3
        while (end := conn.max_offset(TOPIC, queue)) < due and time.monotonic() < until:
            time.sleep(0.02)
        if end < due:
            raise AssertionError("queue %d ends at %d, acknowledged up to %d" % (queue, end, due))
        for r in conn.drain(TOPIC, queue, len(state.stored[queue]), end):
            state.stored[queue].append(check_record(state, queue, r, True))
            fresh += 1
        missing = [o for o in state.acknowledged[queue] if o >= len(state.stored[queue])]
        if missing:
            raise AssertionError("queue %d: acknowledged offsets are gone: %s" % (queue, missing[:5]))
    # A batch that was never answered may be cut: the format has no mark that would tell (the kernel ends a long write early
    # when the process is killed). Counted, not judged.
    for sequences in state.batches:
        there = [s in state.seen for s in sequences]
        state.cut_batches += any(there) != all(there)
    state.batches = []
    for queue in state.rng.sample(range(QUEUES), 3):
        if state.stored[queue]:
            sequence = state.rng.choice(state.stored[queue][-500:])
            find_key(state, conn, sequence)
    conn.close()
    return fresh


def find_key(state, conn, sequence):
    """The index may follow after the start, but has to; the longest wait is reported."""
    began = time.monotonic()
    while True:
        try:
            _, body = conn.call(mq.QUERY_KEY, {"topic": TOPIC, "key": "k%d" % sequence, "maxNum": 32, "beginTimestamp": 0,
                                               "endTimestamp": int(time.time() * 1000) + 60000})
            found = [BODY.unpack_from(r.body)[2] for r in mq.records(body)]
        except mq.Refused as e:
            found = []
            if e.code != 22:
                raise
        if sequence in found:
            state.key_wait = max(state.key_wait, time.monotonic() - began)
            return
        if time.monotonic() > began + 15:
            raise AssertionError("the key of message %d finds %s" % (sequence, found))
        time.sleep(0.05)


def read_all_again(state, address):
    conn = mq.Conn(address)
    for queue in range(QUEUES):
        again = [check_record(state, queue, r, False) for r in conn.drain(TOPIC, queue, 0, len(state.stored[queue]))]
        if again != state.stored[queue]:
            raise AssertionError("queue %d reads differently at the end" % queue)
    conn.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=50)
    p.add_argument("--address", required=True)
    p.add_argument("--dir", required=True, help="the broker's folder, with its pid file")
    p.add_argument("--start", required=True, help="command that starts the broker and returns when it serves")
    p.add_argument("--seed", type=int, default=int(time.time()))
    a = p.parse_args()
    if not a.address.startswith("127."):
        raise SystemExit("only a loopback address")
    state, began, start_time, sent = State(a.seed), time.monotonic(), 0.0, 0
    print("seed %d" % a.seed, flush=True)
    try:
        for state.round in range(a.rounds + 1):
            t = time.monotonic()
            subprocess.run(a.start.split(), check=True, timeout=120)
            start_time += time.monotonic() - t
            with open(os.path.join(a.dir, "pid"), encoding="ascii") as f:
                pid = int(f.read())
            if state.round == 0:
                conn = mq.Conn(a.address)
                conn.create_topic(TOPIC, QUEUES)
                conn.close()
            else:
                verify(state, a.address)
            if state.round < a.rounds:
                sent += load(state, a.address, state.rng.uniform(0.3, 1.2), pid)
        read_all_again(state, a.address)
    except (AssertionError, mq.Refused, OSError, EOFError) as e:
        print("round %d: %s: %s" % (state.round, type(e).__name__, e), flush=True)
        return 1
    stored = sum(map(len, state.stored))
    print("%d rounds, %.1f s each (start %.2f s): %d acknowledged, all there; %d stored, of them %d not answered before the kill, "
          "%d unanswered batches cut, %d requests refused; keys found within %.1f s of a start"
          % (a.rounds, (time.monotonic() - began) / a.rounds, start_time / (a.rounds + 1), sent, stored, state.unanswered_found,
             state.cut_batches, state.refused, state.key_wait), flush=True)
    if sent < 20 * a.rounds:
        print("too few messages were sent to prove anything", flush=True)
        return 1
    return 0


sys.exit(main())
