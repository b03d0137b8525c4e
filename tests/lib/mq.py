"""A small client of the remoting protocol for the tests: the standard library only, one blocking connection at a time.

It knows frames with JSON headers, the records that pulls bring, and the few requests the tests need; nothing is retried.
"""
import json
import re
import socket
import struct
import time
import zlib

SEND, PULL, QUERY_KEY, UPDATE_TOPIC, MAX_OFFSET, VIEW, ALL_TOPICS, ROUTE, SEND_BATCH = 310, 11, 12, 17, 30, 33, 21, 105, 320
GROUP_OFFSET = 14
FOUND, NOT_FOUND, RETRY_NOW, MOVED, NO_OFFSET = 0, 19, 20, 21, 22
HEAD = struct.Struct(">II")
MAGIC_V1 = 0xDAA320A7
FIXED = struct.Struct(">IIIIIqqI")  # size magic crc queue flag queue_offset log_offset sys_flag


class Refused(Exception):
    """The server answered with another code than success."""

    def __init__(self, code, remark):
        super().__init__("code %s: %s" % (code, remark))
        self.code = code


def lax(body):
    """The servers write maps with bare numeric keys."""
    return json.loads(re.sub(r"([{,]\s*)(-?\d+)\s*:", r'\1"\2":', body.decode()))


def frame(code, opaque, fields, body=b"", flag=0):
    head = json.dumps({"code": code, "language": "JAVA", "version": 355, "opaque": opaque, "flag": flag,
                       "serializeTypeCurrentRPC": "JSON", "extFields": {k: str(v) for k, v in fields.items()}},
                      separators=(",", ":")).encode()
    return HEAD.pack(4 + len(head) + len(body), len(head)) + head + body


class Frames:
    """Cuts what arrives into (header, body)."""

    def __init__(self):
        self.buf = bytearray()

    def feed(self, data):
        self.buf += data
        at = 0
        while len(self.buf) - at >= 8:
            total, head = HEAD.unpack_from(self.buf, at)
            if len(self.buf) - at < 4 + total:
                break
            assert head >> 24 == 0, "an answer with a binary header"
            yield json.loads(self.buf[at + 8:at + 8 + head]), bytes(self.buf[at + 8 + head:at + 4 + total])
            at += 4 + total
        del self.buf[:at]


class Conn:
    def __init__(self, address, timeout=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opaque, self.frames, self.ready, self.requests = 0, Frames(), [], []

    def close(self):
        self.socket.close()

    def post(self, code, fields, body=b""):
        self.opaque += 1
        self.socket.sendall(frame(code, self.opaque, fields, body))
        return self.opaque

    def take(self):
        """The next answer; requests of the server are put aside in `requests`."""
        while True:
            while self.ready:
                head, body = self.ready.pop(0)
                if head["flag"] & 1:
                    return head, body
                self.requests.append((head, body))
            data = self.socket.recv(1 << 18)
            if not data:
                raise EOFError("connection closed")
            self.ready.extend(self.frames.feed(data))

    def call(self, code, fields=None, body=b"", good=(0,)):
        opaque = self.post(code, fields or {}, body)
        head, answer = self.take()
        assert head["opaque"] == opaque, "answer %s to request %s" % (head["opaque"], opaque)
        if head["code"] not in good:
            raise Refused(head["code"], head.get("remark"))
        return head, answer

    def create_topic(self, topic, queues, perm=6):
        self.call(UPDATE_TOPIC, topic_fields(topic, queues, perm))

    def topics(self):
        """Names of all topics of the broker."""
        return set(lax(self.call(ALL_TOPICS)[1])["topicConfigTable"])

    def group_offset(self, group, topic, queue):
        """Where the group goes on; 0 when nothing is stored for it."""
        head, _ = self.call(GROUP_OFFSET, {"consumerGroup": group, "topic": topic, "queueId": queue}, good=(0, NO_OFFSET))
        return int(head["extFields"]["offset"]) if head["code"] == 0 else 0

    def query_key(self, topic, key):
        """The records with this key."""
        now = int(time.time() * 1000)
        head, body = self.call(QUERY_KEY, {"topic": topic, "key": key, "maxNum": 32, "beginTimestamp": 0, "endTimestamp": now + 60000},
                               good=(0, NO_OFFSET))
        return list(records(body)) if head["code"] == 0 else []

    def max_offset(self, topic, queue):
        return int(self.call(MAX_OFFSET, {"topic": topic, "queueId": queue})[0]["extFields"]["offset"])

    def pull(self, topic, queue, offset, count=1000, group="tests"):
        """(code, next offset, records)"""
        head, body = self.call(PULL, {
            "consumerGroup": group, "topic": topic, "queueId": queue, "queueOffset": offset, "maxMsgNums": count, "sysFlag": 4,
            "commitOffset": 0, "suspendTimeoutMillis": 0, "subscription": "*", "subVersion": 0, "expressionType": "TAG",
        }, good=(FOUND, NOT_FOUND, RETRY_NOW, MOVED))
        return head["code"], int(head["extFields"]["nextBeginOffset"]), list(records(body)) if head["code"] == FOUND else []

    def drain(self, topic, queue, offset, end, seconds=20, group="tests"):
        """Every record of [offset, end); fails when an offset is missing or comes twice."""
        until = time.monotonic() + seconds
        while offset < end:
            code, following, got = self.pull(topic, queue, offset, group=group)
            for r in got:
                if r.queue_offset != offset:
                    raise AssertionError("%s/%d: offset %d where %d is due" % (topic, queue, r.queue_offset, offset))
                if offset < end:
                    yield r
                offset += 1
            if not got and (code == MOVED and following != offset or time.monotonic() > until):
                raise AssertionError("%s/%d: nothing at offset %d of %d (code %d, next %d)" % (topic, queue, offset, end, code, following))


class Record:
    """One stored record, checked against its own sizes and its body CRC."""

    def __init__(self, raw):
        self.raw = raw
        (self.size, magic, crc, self.queue, self.flag, self.queue_offset, self.log_offset, self.sys_flag) = FIXED.unpack_from(raw)
        assert magic == MAGIC_V1 and self.size == len(raw), "bad record: magic %x, size %d of %d" % (magic, self.size, len(raw))
        at = 40
        self.born_timestamp, = struct.unpack_from(">q", raw, at)
        at += 8 + (20 if self.sys_flag & 0x10 else 8)
        self.store_timestamp, = struct.unpack_from(">q", raw, at)
        at += 8 + (20 if self.sys_flag & 0x20 else 8)
        self.reconsume_times, self.prepared, length = struct.unpack_from(">iqi", raw, at)
        at += 16
        self.body = raw[at:at + length]
        at += length
        if length and zlib.crc32(self.body) & 0x7fffffff != crc & 0x7fffffff:
            raise AssertionError("body CRC differs at log offset %d" % self.log_offset)
        n = raw[at]
        self.topic = raw[at + 1:at + 1 + n].decode()
        at += 1 + n
        n, = struct.unpack_from(">h", raw, at)
        self.properties = raw[at + 2:at + 2 + n].decode()
        assert at + 2 + n == self.size, "record of %d bytes, parts of %d" % (self.size, at + 2 + n)

    def property(self, name):
        for pair in self.properties.split("\x02"):
            key, _, value = pair.partition("\x01")
            if key == name:
                return value
        return None


def records(body):
    at = 0
    while at < len(body):
        size, = struct.unpack_from(">I", body, at)
        assert 0 < size <= len(body) - at, "record of %d bytes at %d of %d" % (size, at, len(body))
        yield Record(bytes(body[at:at + size]))
        at += size


def topic_fields(topic, queues, perm=6):
    return {"topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues, "writeQueueNums": queues, "perm": perm,
            "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": "false"}


def send_fields(group, topic, queue, properties, batch=False):
    return {"a": group, "b": topic, "c": "TBW102", "d": 4, "e": queue, "f": 0, "g": int(time.time() * 1000), "h": 0,
            "i": properties, "j": 0, "k": "false", "l": 16, "m": "true" if batch else "false"}


def properties(pairs):
    return "".join("%s\x01%s\x02" % p for p in pairs.items())


def batch_body(items):
    """Body of a batch send out of (body, properties)."""
    out = bytearray()
    for body, props in items:
        p = props.encode()
        out += struct.pack(">IIIII", 22 + len(body) + len(p), 0, 0, 0, len(body)) + body + struct.pack(">H", len(p)) + p
    return bytes(out)
