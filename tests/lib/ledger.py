"""What a broker acknowledged to its clients, and the checks of it after a crash.

Four things are kept: the queues of a topic that several producers send to, a group that consumes them, delayed messages, and
a topic that is deleted and made again. Each has a `check` that is run after every start. `everything` says that nothing
acknowledged may be missing; without it (a power loss with ASYNC_FLUSH) what is left of a queue is a beginning of it, and at
least what an earlier check found after a power loss.
"""
import struct
import time

import mq

TOPIC, QUEUES, GROUP = "Crash", 8, "CrashGroup"
LATE, LATE_STORED, LATE_LEVEL = "CrashLate", "SCHEDULE_TOPIC_XXXX", 1
VOLATILE = "CrashVolatile"
BODY = struct.Struct(">IIQ")  # round or generation, sender, sequence
END_WAIT = 5.0                # seconds that the queues may take to follow the log


class Violation(AssertionError):
    """The broker broke a promise."""


def ended_at(conn, topic, queue, due, why="read after an earlier power loss"):
    """The end of the queue, once it is at least `due` and stays for a moment."""
    until, last = time.monotonic() + END_WAIT, -1
    while True:
        end = conn.max_offset(topic, queue)
        if end >= due and end == last:
            return end
        if time.monotonic() > until:
            raise Violation("%s/%d ends at %d, offset %d was %s" % (topic, queue, end, due - 1, why))
        last = end
        time.sleep(0.02)


def read(conn, topic, queue, first, end):
    """Every record of [first, end)."""
    try:
        yield from conn.drain(topic, queue, first, end)
    except mq.Refused as e:
        raise Violation("%s/%d cannot be read: %s" % (topic, queue, e)) from e


class OffsetMap:
    """Offsets of a queue with the message that was acknowledged, or given to a consumer, under each."""

    def __init__(self):
        self.messages, self.end = {}, 0     # offset -> (sequence, hash of the body); behind the last of them

    def add(self, where, offset, sequence, body):
        message = (sequence, hash(body))
        if self.messages.setdefault(offset, message) != message:
            raise Violation("%s: offset %d was given to message %d and to %d" % (where, offset, self.messages[offset][0], sequence))
        self.end = max(self.end, offset + 1)

    def compare(self, where, r, sequence):
        """Whether the offset of the record is known; fails when it is known for another message."""
        due = self.messages.get(r.queue_offset)
        if due is not None and due != (sequence, hash(r.body)):
            raise Violation("%s: offset %d holds message %d, known was %d" % (where, r.queue_offset, sequence, due[0]))
        return due is not None

    def cut(self, end):
        """Forgets what was at `end` and behind it; how many messages that were."""
        gone = sum(self.messages.pop(o, None) is not None for o in range(end, self.end))
        self.end = min(self.end, end)
        return gone


class Queue:
    """One queue of the main topic, and where the group is in it."""

    def __init__(self, number):
        self.number, self.name = number, "%s/%d" % (TOPIC, number)
        self.acknowledged, self.consumed = OffsetMap(), OffsetMap()
        self.stored = []                # (sequence, sender) at each offset, as the last check found it
        self.last = {}                  # the last sequence of each sender in it
        self.durable = 0                # the end after the last power loss
        self.position = 0               # what the group reads next
        self.reached = 0                # the furthest it ever was
        self.saved = 0                  # its offset at the last start
        self.saved_durably = 0          # its offset after the last power loss

    def forget_from(self, offset, seen):
        """Takes what is stored from there on for unknown."""
        if offset >= len(self.stored):
            return
        seen.difference_update(sequence for sequence, _ in self.stored[offset:])
        del self.stored[offset:]
        self.last = {sender: sequence for sequence, sender in self.stored}

    def deliver(self, records):
        """What a pull brought to the group; its next offset."""
        for r in records:
            if r.queue_offset != self.position:
                raise Violation("%s: the group was given offset %d where %d is due" % (self.name, r.queue_offset, self.position))
            sequence = BODY.unpack_from(r.body)[2]
            self.acknowledged.compare(self.name, r, sequence)
            self.consumed.add(self.name, r.queue_offset, sequence, r.body)
            self.position += 1
        self.reached = max(self.reached, self.position)
        return self.position

    def check_group(self, conn, end, power_lost):
        offset = conn.group_offset(GROUP, TOPIC, self.number)
        if offset > end:
            raise Violation("%s: the group goes on at %d, the queue ends at %d" % (self.name, offset, end))
        if offset > self.reached:
            raise Violation("%s: the group goes on at %d, it consumed up to %d" % (self.name, offset, self.reached))
        saved = self.saved_durably if power_lost else self.saved
        if offset < min(saved, end):
            raise Violation("%s: the group goes on at %d, an earlier start had %d" % (self.name, offset, saved))
        self.saved = self.position = offset
        if power_lost:
            self.saved_durably = offset


class DelayedMessages:
    """Delayed messages: each comes at least once."""

    def __init__(self):
        self.due, self.came, self.read = set(), set(), 0

    def cut(self, conn):
        """After a power loss without the promise: those that are stored have to come."""
        end = ended_at(conn, LATE_STORED, LATE_LEVEL - 1, 0)
        self.due &= {BODY.unpack_from(r.body)[2] for r in read(conn, LATE_STORED, LATE_LEVEL - 1, 0, end)}

    def check(self, conn, seconds):
        """All have to be in the topic by now, or within `seconds`; it is read from its beginning."""
        until, came, at = time.monotonic() + seconds, set(), 0
        while True:
            end = conn.max_offset(LATE, 0)
            came |= {BODY.unpack_from(r.body)[2] for r in read(conn, LATE, 0, at, end)}
            at = end
            if not self.due - came:
                return
            if time.monotonic() > until:
                raise Violation("%d of %d delayed messages never came, such as %d" % (len(self.due - came), len(self.due), min(self.due - came)))
            time.sleep(0.05)


class VolatileTopic:
    """A topic that is deleted and made again under load: what was before is gone, what was acknowledged since is there."""

    def __init__(self):
        self.generation, self.acknowledged = 0, OffsetMap()
        self.exists = self.deleted = False      # as answered; neither while a request is under way

    def made(self):
        self.generation += 1
        self.exists, self.acknowledged = True, OffsetMap()

    def check(self, conn, topics, everything):
        if self.deleted and VOLATILE in topics:
            raise Violation("%s was deleted, and is there" % VOLATILE)
        if not self.exists:
            return
        if VOLATILE not in topics:
            raise Violation("topics are gone: %s" % VOLATILE)
        end = ended_at(conn, VOLATILE, 0, self.acknowledged.end if everything else 0, "acknowledged")
        for r in read(conn, VOLATILE, 0, 0, end):
            generation, _, sequence = BODY.unpack_from(r.body)
            if generation != self.generation:
                raise Violation("%s: offset %d holds a message from before the topic was deleted (%d, now %d)"
                             % (VOLATILE, r.queue_offset, generation, self.generation))
            self.acknowledged.compare(VOLATILE, r, sequence)
        self.acknowledged.cut(end)


class Ledger:
    def __init__(self, rng):
        self.rng = rng
        self.filler = bytes(rng.randrange(256) for _ in range(1200))
        self.round = self.sequence = 0
        self.queues = [Queue(n) for n in range(QUEUES)]
        self.delayed, self.volatile = DelayedMessages(), VolatileTopic()
        self.seen, self.batches = set(), []
        self.sent = self.refused = self.lost = self.unanswered_found = self.cut_batches = self.generations = 0
        self.key_wait = 0.0

    def body(self, kind, sender, longest=1200):
        """(sequence, body) of a new message."""
        self.sequence += 1
        return self.sequence, BODY.pack(kind, sender, self.sequence) + self.filler[:self.rng.randrange(longest)]

    def acknowledge(self, queue, first, items):
        for i, (sequence, body) in enumerate(items):
            self.queues[queue].acknowledged.add(self.queues[queue].name, first + i, sequence, body)
        self.sent += len(items)

    def check(self, conn, everything, power_lost, deletions=True):
        """After a start. Returns how many records are new. Topics whose making was answered are there in any case."""
        topics = conn.topics()
        if missing := {TOPIC, LATE} - topics:
            raise Violation("topics are gone: %s" % " ".join(sorted(missing)))
        fresh = sum(self._check_queue(conn, q, everything, power_lost) for q in self.queues)
        # A batch that was never answered may be cut: the format has no mark that would tell (the kernel ends a long write
        # early when the process is killed). Counted, not judged.
        for sequences in self.batches:
            there = [s in self.seen for s in sequences]
            self.cut_batches += any(there) != all(there)
        self.batches = []
        if not everything:
            self.delayed.cut(conn)
        if deletions:
            self.volatile.check(conn, topics, everything)
        for q in self.rng.sample(self.queues, 3):
            if q.stored:
                self._find_key(conn, self.rng.choice(q.stored[-500:])[0])
        return fresh

    def _check_queue(self, conn, q, everything, power_lost):
        end = ended_at(conn, TOPIC, q.number, q.durable)
        if everything:
            ended_at(conn, TOPIC, q.number, q.acknowledged.end, "acknowledged")
            end = ended_at(conn, TOPIC, q.number, q.consumed.end, "given to a consumer")
        q.forget_from(q.durable if power_lost else len(q.stored), self.seen)
        first = len(q.stored)
        for r in read(conn, TOPIC, q.number, first, end):
            self._check_record(q, r)
        self.lost += q.acknowledged.cut(end)
        q.consumed.cut(end)
        q.reached = min(q.reached, end)
        if power_lost:
            q.durable = end
        q.check_group(conn, end, power_lost)
        return len(q.stored) - first

    def _check_record(self, q, r):
        sequence, sender = self._identify(q, r)
        if sequence in self.seen:
            raise Violation("%s: message %d is there twice" % (q.name, sequence))
        if q.last.get(sender, 0) >= sequence:
            raise Violation("%s: message %d of sender %d after %d" % (q.name, sequence, sender, q.last[sender]))
        self.seen.add(sequence)
        q.last[sender] = sequence
        q.stored.append((sequence, sender))
        q.consumed.compare(q.name, r, sequence)
        self.unanswered_found += not q.acknowledged.compare(q.name, r, sequence)

    @staticmethod
    def _identify(q, r):
        _, sender, sequence = BODY.unpack_from(r.body)
        if (r.topic, r.queue) != (TOPIC, q.number):
            raise Violation("%s: a record of %s/%d" % (q.name, r.topic, r.queue))
        if r.property("KEYS") != "k%d" % sequence:
            raise Violation("%s: offset %d has other properties than were sent" % (q.name, r.queue_offset))
        return sequence, sender

    def _find_key(self, conn, sequence):
        """The index may follow after the start, but has to; the longest wait is reported."""
        began = time.monotonic()
        while sequence not in (found := [BODY.unpack_from(r.body)[2] for r in conn.query_key(TOPIC, "k%d" % sequence)]):
            if time.monotonic() > began + 15:
                raise Violation("the key of message %d finds %s" % (sequence, found))
            time.sleep(0.05)
        self.key_wait = max(self.key_wait, time.monotonic() - began)

    def check_finally(self, conn):
        """After the last start: all queues from their beginning, and every delayed message."""
        for q in self.queues:
            again = [self._identify(q, r) for r in read(conn, TOPIC, q.number, 0, len(q.stored))]
            if again != q.stored:
                raise Violation("%s reads differently at the end" % q.name)
        self.delayed.check(conn, 20)
