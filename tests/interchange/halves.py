#!/usr/bin/env python3
"""Half messages that one broker leaves open and the other one ends.

    halves.py write  ADDRESS FILE   sends half messages, ends some, has some asked for, and notes what became of each
    halves.py verify ADDRESS FILE clean|killed READER
                                    ends the open ones, named as their sender knows them or when asked; every one that was
                                    committed is delivered, no other one; then leaves two open
    halves.py return ADDRESS FILE   ends those two when asked, and is asked for nothing else

A name tells what happens to a message: when (`ended` at the writer, `named` at the reader by its first place, `asked` when a
producer is asked, `never`), how (`commit`, `rollback`), and what is special (`old`: the writer has asked before, `immune`: a
copy takes its place at the writer, `fresh`: the writer has not looked at it).
"""
import collections
import json
import sys
import time

import mq

END, HEARTBEAT, QUERY_OFFSET, UPDATE_CONFIG, CHECK = 37, 34, 14, 25, 39
COMMIT, ROLLBACK, PREPARED = 8, 12, 4
TOPIC, QUEUES, GROUP = "IxTrans", 2, "IxTransProducers"
HALF, OPS, GIVEN_UP, SETTLED = "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC", "CID_RMQ_SYS_TRANS"
NEVER_MS, SOON_MS = 3_600_000, 1000


def require(ok, what):
    if not ok:
        raise SystemExit("halves: " + what)


def until(what, look, seconds=60):
    end = time.monotonic() + seconds
    while not look():
        require(time.monotonic() < end, "not within %d s: %s" % (seconds, what))
        time.sleep(0.05)


class Producer(mq.Conn):
    """A member of the group that is asked, once it has said so."""

    def __init__(self, address):
        super().__init__(address)
        self.asks = []  # (name, place, times asked so far), in the order they came
        self.answered = set()

    def join(self):
        self.call(HEARTBEAT, body=json.dumps({"clientID": "halves", "producerDataSet": [{"groupName": GROUP}],
                                              "consumerDataSet": []}).encode())

    def configure(self, **settings):
        self.call(UPDATE_CONFIG, body="".join("%s=%s\n" % pair for pair in settings.items()).encode())

    def half(self, name, queue, **more):
        """Sends one; returns its place: offset in the queue of half messages, offset in the log."""
        properties = {"KEYS": name, "UNIQ_KEY": name, "TAGS": "T", "TRAN_MSG": "true", "PGROUP": GROUP, **more}
        fields = mq.send_fields(GROUP, TOPIC, queue, mq.properties(properties))
        head, _ = self.call(mq.SEND, {**fields, "f": PREPARED}, name.encode())
        answer = head["extFields"]
        return int(answer["queueOffset"]), int(answer["msgId"][16:], 16)

    def end(self, name, place, asked):
        how = ROLLBACK if "rollback" in name else COMMIT
        self.call(END, {"producerGroup": GROUP, "tranStateTableOffset": place[0], "commitLogOffset": place[1],
                        "commitOrRollback": how, "fromTransactionCheck": asked, "msgId": name, "transactionId": name})

    def listen(self, answering):
        """Notes what was asked so far; answers where `answering` says so, each place once."""
        self.call(QUERY_OFFSET, {"consumerGroup": SETTLED, "topic": HALF, "queueId": 0}, good=(0, 22))
        while self.requests:
            head, body = self.requests.pop(0)
            require(head["code"] == CHECK, "request %d" % head["code"])
            fields, record = head["extFields"], mq.Record(body)
            name = record.property("KEYS")
            require(record.topic == TOPIC and record.body == name.encode(), "asked with %s of %s" % (record.body, record.topic))
            place = int(fields["tranStateTableOffset"]), int(fields["commitLogOffset"])
            self.asks.append((name, place, int(record.property("TRANSACTION_CHECK_TIMES"))))
            if answering(name) and place not in self.answered:
                self.answered.add(place)
                self.end(name, place, True)

    def delivered(self):
        count = collections.Counter()
        for queue in range(QUEUES):
            for record in self.drain(TOPIC, queue, 0, self.max_offset(TOPIC, queue)):
                require(record.body.decode() == record.property("KEYS"), "the body of %s" % record.property("KEYS"))
                count[record.property("KEYS")] += 1
        return count

    def settled(self):
        for topic in (HALF, OPS):
            head, _ = self.call(QUERY_OFFSET, {"consumerGroup": SETTLED, "topic": topic, "queueId": 0}, good=(0, 22))
            if head["code"] != 0 or int(head["extFields"]["offset"]) != self.max_offset(topic, 0):
                return False
        return True


def write(address, path):
    p, places = Producer(address), {}
    p.create_topic(TOPIC, QUEUES)
    p.join()

    def send(count, kind, ended=False, **more):
        for n in range(count):
            name = "%s-%d" % (kind, n)
            places[name] = p.half(name, n % QUEUES, **more)
            if ended:
                p.end(name, places[name], False)

    p.configure(transactionTimeOut=SOON_MS)
    send(20, "ended-commit", True)
    send(20, "ended-rollback", True)
    for kind in ("asked-commit-old", "asked-rollback-old", "never-old"):
        send(5, kind)
    send(5, "named-commit-immune", CHECK_IMMUNITY_TIME_IN_SECONDS="600")
    old = {name for name in places if "old" in name}

    def all_asked():
        p.listen(lambda _: False)
        return old <= {name for name, _, _ in p.asks}
    until("every old one is asked for", all_asked)
    sent = 40 + len(old) + 5
    until("the immune ones move", lambda: p.max_offset(HALF, 0) >= sent + len(old) + 5)

    # From here on the writer finds everything too young.
    p.configure(transactionTimeOut=NEVER_MS)
    for kind in ("named-commit-fresh", "named-rollback-fresh", "asked-commit-fresh", "asked-rollback-fresh"):
        send(5, kind)
    send(20, "ended-commit-fresh", True)
    send(20, "ended-rollback-fresh", True)
    p.listen(lambda _: False)
    times = {name: times for name, _, times in p.asks}
    require(set(times) == old, "the writer has asked for %s" % (set(times) ^ old))
    ended = {name for name in places if name.startswith("ended-commit")}
    until("the writer's deliveries", lambda: set(p.delivered()) == ended)
    with open(path, "w", encoding="ascii") as f:
        json.dump({"places": places, "times": times}, f)
    print("halves: %d sent, %d asked for %d times" % (len(places), len(old), len(p.asks)))


def verify(address, path, state, reader):
    with open(path, encoding="ascii") as f:
        manifest = json.load(f)
    places, times, p = manifest["places"], manifest["times"], Producer(address)
    for name, place in places.items():
        if name.startswith("named"):
            p.end(name, place, False)
    p.join()
    p.configure(transactionTimeOut=SOON_MS)
    wanted = {name for name in places if "commit" in name}
    asked = {name for name in places if name.startswith("asked")}

    def all_ended():
        p.listen(lambda name: name in asked)
        return wanted <= set(p.delivered()) and asked <= {name for name, _, _ in p.asks}
    until("every open one is asked for and ended", all_ended)
    p.configure(transactionCheckMax=1)
    never = {name for name in places if name.startswith("never")}
    given_up = lambda: {r.property("KEYS") for r in p.drain(GIVEN_UP, 0, 0, p.max_offset(GIVEN_UP, 0))}
    until("those that are never answered are given up", lambda: p.listen(lambda name: name in asked) or never <= given_up())
    until("all is settled", lambda: p.listen(lambda name: name in asked) or p.settled())

    # A fault of 4.7.1: when the end of an immune one comes after its copy, that copy stays open.
    fault = {name for name in places if "immune" in name and reader == "reference"}
    require(given_up() - fault == never, "given up: %s" % given_up())
    strangers = {name for name, _, _ in p.asks} - asked - never - fault
    require(not strangers, "asked for %s" % strangers)
    count = p.delivered()
    require(set(count) == wanted, "delivered: %s" % (set(count) ^ wanted))
    # After a kill the offsets may be some seconds old, so that what was asked meanwhile is asked for twice.
    twice = [name for name, n in count.items() if n > 1 and not (state == "killed" and "old" in name)]
    require(not twice, "delivered more than once: %s" % twice)
    for name, _, n in p.asks:
        require(state == "killed" or n > times.get(name, 0), "%s is asked for the time %d, was %d" % (name, n, times.get(name, 0)))
    p.configure(transactionTimeOut=NEVER_MS, transactionCheckMax=100)
    for name in ("back-commit", "back-rollback"):
        p.half(name, 0)
    print("halves: %d delivered, %d given up, asked %d times" % (len(count), len(never), len(p.asks)))


def back(address, path):
    with open(path, encoding="ascii") as f:
        wanted = {name for name in json.load(f)["places"] if "commit" in name} | {"back-commit"}
    p = Producer(address)
    before = p.delivered()
    p.join()
    until("the last two are asked for and all is settled", lambda: p.listen(lambda _: True) or len(p.answered) >= 2 and p.settled())
    require({name for name, _, _ in p.asks} == {"back-commit", "back-rollback"}, "asked for %s" % p.asks)
    until("the last one", lambda: set(p.delivered()) == wanted)
    require(p.delivered() == before + collections.Counter(["back-commit"]), "deliveries after the return")
    print("halves: back, and nothing was asked for but the last two")


{"write": write, "verify": verify, "return": back}[sys.argv[1]](*sys.argv[2:])
