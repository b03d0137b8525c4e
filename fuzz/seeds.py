#!/usr/bin/env python3
"""Writes the first inputs of every target, out of the test data of the crates: fuzz/seeds.py FOLDER

Also writes FOLDER/dictionary: names of commands' fields, settings and properties, and the numbers of the formats.
"""
import hashlib
import json
import pathlib
import re
import struct
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "crates/kerolox-wire/testdata"
OUT = pathlib.Path(sys.argv[1])
# An input larger than this slows all others down.
SIZE_MAX = 1200


def put(target, data):
    if 0 < len(data) <= SIZE_MAX:
        folder = OUT / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def table(source, pattern):
    return re.findall(pattern, (ROOT / source).read_text(), re.M)


def frames():
    seen = set()
    for path in sorted((DATA / "captures").glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            kind = (path.stem, row["request_code"], row["kind"])
            if kind in seen:
                continue
            seen.add(kind)
            rest = bytes.fromhex(row["hex"])
            marked = struct.unpack(">I", rest[:4])[0]
            header, body = rest[4:4 + (marked & 0xFFFFFF)], rest[4 + (marked & 0xFFFFFF):]
            yield row, header, body, marked >> 24, rest


def wire():
    commands = [int(code) for code in table("crates/kerolox-wire/src/command/table.rs", r"^    (\d+) [A-Z_0-9]+ \w+ @")]
    for row, header, body, compact, rest in frames():
        put("frame", b"\x10" + struct.pack(">I", len(rest)) + rest)
        put("header_compact" if compact else "header_json", header)
        code = row["request_code"]
        if code == 320 and row["kind"] == "request":
            put("batch", body)
        if code == 103 and row["kind"] == "request":
            put("registration", b"\x00" + body)
            put("registration", b"\x01" + body)
        if not compact and code in commands:
            fields = json.loads(header).get("extFields") or {}
            lines = b"\n".join(bytes([n]) + str(value).encode() for n, value in enumerate(fields.values()))
            put("request", bytes([commands.index(code), int(row["kind"] == "answer")]) + lines)
        if row["kind"] == "answer" and code in (11, 12, 33) and body:
            put("record", body)
            put("record_walk", body)


def bodies():
    names = table("fuzz/src/bodies.rs", r"^    (\w+),$")
    texts = json.loads((DATA / "reference_bodies.json").read_text())
    for name, text in texts.items():
        kind = name.split(".")[0]
        if kind in names:
            put("body", bytes([names.index(kind)]) + text.encode())
    saved = ["TopicConfigTable", "SubscriptionGroupTable", "OffsetTable", "DelayOffsets"]
    for number, kind in enumerate(saved):
        put("tables", bytes([number]) + texts[kind].encode())
    put("tables", b'\x04{"filterDataByTopic":{"t":{"groupFilterData":{"g":{"bornTime":5,"clientVersion":7,"consumerGroup":"g",'
        b'"deadTime":0,"expression":"a > 3","expressionType":"SQL92","topic":"t"}},"topic":"t"}}}')
    version = b'{"counter":1,"timestamp":2}'
    line = b"t 8 8 6 SINGLE_TAG"
    block = lambda part: struct.pack(">i", len(part)) + part
    put("registration", b"\x04" + block(version) + struct.pack(">i", 1) + block(line) + block(b"[]"))
    put("registration", b"\x01" + zlib.compress(block(version) + struct.pack(">i", 1) + block(line) + block(b"[]")))


def store():
    vectors = json.loads((DATA / "store_vectors.json").read_text())
    for vector in vectors["binary"]:
        name, data = vector["name"], bytes.fromhex(vector["hex"])
        if name.startswith("record"):
            put("record", data)
            put("record_walk", data * 2 + struct.pack(">II", 8, 0xCBD43194))
        elif name.startswith("checkpoint"):
            put("checkpoint", b"\x00" + data)
            put("checkpoint", b"\x03" + data.ljust(40, b"\0") + bytes(60))
        elif "consumequeue" in name.lower() or "unit" in name.lower():
            put("queue_unit", data)
        elif name.startswith("index"):
            put("index", b"\x00" + bytes(8) + data)
            put("index", b"\x01" + bytes(8) + data)
    for text in (entry["string"] for entry in vectors["hashes"]):
        put("tags", text.encode() + b"\0" + text.encode())
    longs = lambda *values: b"".join(struct.pack(">Q", value) for value in values)
    run = lambda number: longs(number, 2, 0, 5, 0) + struct.pack(">I", 1)
    for version, ahead in ((1, b""), (2, struct.pack(">I", 1) + bytes(28))):
        state = struct.pack(">I", version) + longs(3, 11, 0, 2**64 - 1, 0) + struct.pack(">I", 1) + longs(1000)
        state += struct.pack(">I", 2) + run(1) + run(2) + ahead + b"\xff"
        entries = b"".join(longs(1_700_000_000_000 + n, 5 + n, n) + struct.pack(">I", n % 2) for n in range(2))
        files = (b"\x02" + entries) * 2
        put("timers", struct.pack(">H", len(state)) + state + b"\x30" + longs(1 << 58) + files)


def texts():
    put("message_id", b"C0A8000100002A9F0000000000000000")
    put("message_id", b"20010DB800000000000000000000000200002A9F00000000000000BB")
    put("properties", b"KEYS\x01a b\x02TAGS\x01t\x02UNIQ_KEY\x01C0A8000100002A9F0000000000000000\x02WAIT\x01true\x02")
    expressions = [ROOT / "tests/capture/filter/expressions.txt"]
    lines = [line for path in expressions for line in path.read_text().splitlines() if line]
    lines += ["a > 3 AND b = 'x'", "a BETWEEN 1 AND 2.5e3", "a IN ('x','y') OR NOT b IS NULL", "-a <> 0x1F", "TRUE",
              "a NOT BETWEEN -1 AND 07 AND (b <= c)", "a IS NOT NULL AND b NOT IN ('z')", "/* c */ a = 1L -- d"]
    for line in lines[::max(1, len(lines) // 60)]:
        put("filter", line.encode() + b"\0a\x015\x02b\x01x\x02")
    for path in sorted((ROOT / "conf").rglob("*.conf")):
        text = path.read_bytes()
        put("conf", b"\x00" + b"\n".join(line for line in text.split(b"\n") if line and not line.startswith(b"#")))
    for role, text in ((0, b"brokerName=b\nlistenPort = 10911\nflushDiskType: ASYNC_FLUSH\ndeleteWhen=04\n"),
                       (1, b"listenPort=9876\nkvConfigPath=/x\\\n  y\n"), (2, b"! c\nlistenPort 8080\na=\\u0041\n")):
        put("conf", bytes([role]) + text)
        put("conf_lines", text)
    put("namesrv_settings", b"orderMessageEnable = True\n")
    put("accounts", b"globalWhiteRemoteAddresses:\n- 10.10.103.*\n- 192.168.0.1\naccounts:\n- accessKey: RocketMQ\n"
        b"  secretKey: '12345678'\n  whiteRemoteAddress:\n  admin: false\n  defaultTopicPerm: DENY\n"
        b"  defaultGroupPerm: SUB\n  topicPerms:\n  - a=PUB|SUB\n  groupPerms: [b=SUB]\ndataVersion:\n"
        b"- counter: 1\n  timestamp: 2\n")
    put("accounts", b"a: &x [1, {k: v}, \"q\\n\", ~]\nb: *x\nc: |\n  text\n  more\n? [d]\n: !!str 5\n")


def dictionary():
    words = set(table("crates/kerolox-wire/src/properties.rs", r'^    [A-Z_]+ = "(\w+)";'))
    for source in (ROOT / "crates/kerolox-wire/src/command").glob("*.rs"):
        words |= set(re.findall(r'= "(\w+)"', source.read_text()))
    for source in (ROOT / "crates/kerolox/src/config/table").glob("*.rs"):
        words |= set(re.findall(r'"([a-zA-Z.]{4,40})"', source.read_text()))
    for text in json.loads((DATA / "reference_bodies.json").read_text()).values():
        words |= set(re.findall(r'"(\w+)":', text))
    words |= {"AND", "OR", "NOT", "BETWEEN", "IN", "IS", "NULL", "TRUE", "FALSE", "PUB|SUB", "DENY", "null", "extFields",
              "SINGLE_TAG", "SQL92", "accounts", "accessKey", "secretKey", "whiteRemoteAddress", "topicPerms", "%RETRY%"}
    magics = ["\\xDA\\xA3\\x20\\xA7", "\\xDA\\xA3\\x20\\xAB", "\\xCB\\xD4\\x31\\x94", "KRLXMARK", "KRLXTIMR",
              "\\x7F\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF", "\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00", "\\x01", "\\x02", "\\\\uD800"]
    lines = [f'"{word}"' for word in sorted(words) + magics]
    (OUT / "dictionary").write_text("\n".join(lines) + "\n")


OUT.mkdir(parents=True, exist_ok=True)
for part in (wire, bodies, store, texts, dictionary):
    part()
