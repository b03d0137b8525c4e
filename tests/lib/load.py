"""Clients that load a broker until it crashes, and record its answers in a ledger.

One thread and one selector: several producers with at most one request under way per queue, a consumer that commits what it
was given, a producer of delayed messages, and an operator who deletes a topic and makes it again while it is sent to.
"""
import heapq
import itertools
import selectors
import time

import mq
from ledger import GROUP, LATE, LATE_LEVEL, QUEUES, TOPIC, VOLATILE, Violation

SENDERS, BATCH = 4, 4
RETRY = 0.01                # seconds until a refused request is made again
DELAYED_EACH_ROUND = 40


class Link:
    """One connection; each answer goes to the function that was given with its request."""

    def __init__(self, load):
        self.load, self.conn, self.out, self.waiting = load, mq.Conn(load.address), bytearray(), {}
        self.conn.socket.setblocking(False)
        load.poll.register(self.conn.socket, selectors.EVENT_READ, self)

    def post(self, code, fields, body, then):
        if self.load.over:
            return
        self.conn.opaque += 1
        self.waiting[self.conn.opaque] = then
        self.out += mq.frame(code, self.conn.opaque, fields, body)

    def flush(self):
        if self.out:
            try:
                del self.out[:self.conn.socket.send(self.out)]
            except BlockingIOError:
                pass

    def receive(self):
        data = self.conn.socket.recv(1 << 18)
        if not data:
            raise EOFError
        for head, body in self.conn.frames.feed(data):
            if head["flag"] & 1:
                self.waiting.pop(head["opaque"])(head, body)


class Sender:
    """Sends `batch` messages a request to each queue, the next when the last is answered."""

    def __init__(self, load, number, batch):
        self.load, self.number, self.batch, self.link = load, number, batch, Link(load)
        self.under_way = {}
        for queue in range(QUEUES):
            self.send(queue)

    def send(self, queue):
        ledger = self.load.ledger
        items = [ledger.body(ledger.round, self.number) for _ in range(self.batch)]
        if self.batch == 1:
            (sequence, body), = items
            fields, code = mq.send_fields("tests", TOPIC, queue, mq.properties({"KEYS": "k%d" % sequence, "WAIT": "true"})), mq.SEND
        else:
            body = mq.batch_body((b, mq.properties({"KEYS": "k%d" % s})) for s, b in items)
            fields, code = mq.send_fields("tests", TOPIC, queue, mq.properties({"WAIT": "true"}), batch=True), mq.SEND_BATCH
        self.under_way[queue] = items
        self.link.post(code, fields, body, lambda head, _: self.answered(queue, head))

    def answered(self, queue, head):
        items, ledger = self.under_way.pop(queue), self.load.ledger
        if head["code"] == 0:
            ledger.acknowledge(queue, int(head["extFields"]["queueOffset"]), items)
            self.send(queue)
        else:
            ledger.refused += 1
            self.load.later(RETRY, lambda: self.send(queue))


class DelayedSender:
    def __init__(self, load):
        self.load, self.link, self.left = load, Link(load), DELAYED_EACH_ROUND
        self.send()

    def send(self):
        sequence, body = self.load.ledger.body(self.load.ledger.round, 0, longest=100)
        fields = mq.send_fields("tests", LATE, 0, mq.properties({"DELAY": LATE_LEVEL, "WAIT": "true"}))
        self.link.post(mq.SEND, fields, body, lambda head, _: self.answered(sequence, head))

    def answered(self, sequence, head):
        if head["code"] == 0:
            self.load.ledger.delayed.due.add(sequence)
            self.left -= 1
        if self.left:
            self.load.later(RETRY, self.send)


class Consumer:
    """Pulls every queue of the topic, waiting at its end, and commits the next offset after each answer."""
    WAITING_PULL, CONSUMER_OFFSET = 2 | 4, 15

    def __init__(self, load):
        self.load, self.link = load, Link(load)
        for queue in load.ledger.queues:
            self.pull(queue)

    def pull(self, queue):
        fields = {"consumerGroup": GROUP, "topic": TOPIC, "queueId": queue.number, "queueOffset": queue.position, "maxMsgNums": 32,
                  "sysFlag": self.WAITING_PULL, "commitOffset": 0, "suspendTimeoutMillis": 500, "subscription": "*", "subVersion": 0,
                  "expressionType": "TAG"}
        self.link.post(mq.PULL, fields, b"", lambda head, body: self.answered(queue, head, body))

    def answered(self, queue, head, body):
        code = head["code"]
        if code == mq.FOUND:
            queue.deliver(mq.records(body))
            self.commit(queue)
            self.pull(queue)
            return
        following = int(head.get("extFields", {}).get("nextBeginOffset", queue.position))
        if code in (mq.NOT_FOUND, mq.RETRY_NOW, mq.MOVED) and following != queue.position:
            raise Violation("%s: the group is moved from %d to %d without a message (code %d)" % (queue.name, queue.position, following, code))
        self.load.later(RETRY, lambda: self.pull(queue))

    def commit(self, queue):
        fields = {"consumerGroup": GROUP, "topic": TOPIC, "queueId": queue.number, "commitOffset": queue.position}
        self.link.post(self.CONSUMER_OFFSET, fields, b"", lambda *_: None)


class Operator:
    """Deletes the topic while messages are on their way, waits for all answers, makes it again, and sends to it."""
    UNDER_WAY, DELETE_TOPIC = 16, 215

    def __init__(self, load):
        self.load, self.link, self.senders = load, Link(load), Link(load)
        self.ledger, self.topic = load.ledger, load.ledger.volatile
        self.under_way, self.left = 0, 0
        self.delete() if load.ledger.rng.random() < 0.5 or not self.topic.exists else self.fill()

    def delete(self):
        self.topic.exists = self.topic.deleted = False
        self.link.post(self.DELETE_TOPIC, {"topic": VOLATILE}, b"", self.gone)

    def gone(self, head, _):
        if head["code"] != 0:
            self.load.later(RETRY, self.delete)
            return
        self.topic.deleted = True
        self.make_when_quiet()

    def make_when_quiet(self):
        if self.topic.deleted and not self.under_way:
            self.make()

    def make(self):
        self.topic.deleted = False
        self.link.post(mq.UPDATE_TOPIC, mq.topic_fields(VOLATILE, 1), b"", self.made)

    def made(self, head, _):
        if head["code"] != 0:
            self.load.later(RETRY, self.make)
            return
        self.topic.made()
        self.ledger.generations += 1
        self.fill()

    def fill(self):
        self.left = self.ledger.rng.randrange(20, 200)
        for _ in range(self.UNDER_WAY):
            self.send()

    def send(self):
        sequence, body = self.ledger.body(self.topic.generation, 0, longest=300)
        self.under_way += 1
        fields = mq.send_fields("tests", VOLATILE, 0, mq.properties({"WAIT": "true"}))
        self.senders.post(mq.SEND, fields, body, lambda head, _: self.answered(head, sequence, body))

    def answered(self, head, sequence, body):
        self.under_way -= 1
        self.left -= 1
        if self.topic.deleted:
            self.make_when_quiet()
            return
        if not self.topic.exists:
            self.send()
            return
        if head["code"] == 0:
            self.topic.acknowledged.add(VOLATILE, int(head["extFields"]["queueOffset"]), sequence, body)
        if self.left <= 0:
            self.delete()
            self.send()
        elif head["code"] == 0:
            self.send()
        else:
            self.load.later(RETRY, self.send)


class Load:
    def __init__(self, ledger, address, deletions=True):
        self.ledger, self.address, self.over = ledger, address, False
        self.poll, self.timers, self.order = selectors.DefaultSelector(), [], itertools.count()
        self.senders = [Sender(self, i, BATCH if i == SENDERS - 1 else 1) for i in range(SENDERS)]
        DelayedSender(self)
        Consumer(self)
        if deletions:
            Operator(self)

    def later(self, seconds, act):
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), act))

    def run(self, seconds, crash, patience=5, may_end=False):
        """Loads for so long, then calls `crash` and takes what is answered until all connections are closed."""
        self.later(seconds, lambda: self._crash(crash, patience))
        while self.poll.get_map():
            for link in [key.data for key in self.poll.get_map().values()]:
                self._guard(link, link.flush, may_end)
            for key, _ in self.poll.select(max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else 1):
                self._guard(key.data, key.data.receive, may_end)
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
        if not self.over:
            crash()
        for sender in self.senders:
            self.ledger.batches += [[s for s, _ in items] for items in sender.under_way.values() if len(items) > 1]

    def _guard(self, link, act, may_end):
        try:
            act()
        except (EOFError, ConnectionError) as e:
            if not self.over and not may_end:
                raise Violation("the broker closed a connection by itself") from e
            if link.conn.socket.fileno() >= 0:
                self.poll.unregister(link.conn.socket)
                link.conn.close()

    def _crash(self, crash, patience):
        self.over = True
        crash()
        self.timers = []
        self.later(patience, self._impatient)

    @staticmethod
    def _impatient():
        raise Violation("a connection is still open long after the crash")
