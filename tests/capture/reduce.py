#!/usr/bin/env python3
"""Reduces a recording of record.py to golden frames: one of each kind, the shortest.

    reduce.py RECORDING.jsonl OUT_DIR

A kind is: client, link, request or answer, request code, answer code, serialisation, set of header fields, body or none.
Writes OUT_DIR/CLIENT.jsonl; each line is {"client", "link", "way", "kind", "code", "request_code", "note", "hex"}: way is `in`
to the server or `out` of it, hex the frame without its length word, note what a reader would call it.
"""
import json
import os
import re
import struct
import sys
import zlib

NAMES = {
    10: "send message (long names)", 11: "pull message", 12: "query message by key", 14: "query consumer offset",
    15: "update consumer offset", 17: "create topic", 21: "all topic config", 25: "update broker config", 26: "broker config",
    28: "broker runtime info", 29: "search offset by time", 30: "max offset", 31: "min offset", 32: "earliest store time",
    33: "view message", 34: "heartbeat", 35: "unregister client", 36: "send back", 37: "end transaction",
    38: "consumer list of a group", 39: "check transaction state", 40: "consumer ids changed", 41: "lock queues", 42: "unlock queues",
    43: "all consumer offsets", 45: "all delay offsets", 46: "check client configuration", 100: "put KV", 101: "get KV", 102: "delete KV", 103: "register broker",
    104: "unregister broker", 105: "route of a topic", 106: "cluster info", 200: "update group", 201: "all groups",
    202: "topic stats", 203: "consumer connections", 204: "producer connections", 205: "wipe write permission",
    206: "all topics of the name server", 207: "delete group", 208: "consume stats", 215: "delete topic in the broker",
    216: "delete topic in the name server", 219: "KV list of a namespace", 220: "reset offset (to the client)",
    221: "consumer status (to the client)", 222: "reset offset (to the broker)", 223: "consumer status (to the broker)",
    224: "topics of a cluster", 300: "groups of a topic", 301: "filter servers", 303: "system topics of the name server",
    304: "system topics of the broker", 305: "time span", 306: "clean expired queues", 307: "consumer running info",
    308: "correction offset", 309: "consume directly", 310: "send message (short names)", 311: "unit topics", 314: "clone group offset",
    315: "broker stats", 316: "clean unused topics", 317: "broker consume stats", 318: "update name server config",
    319: "name server config", 320: "send batch", 321: "consume queue", 322: "query data version", 323: "resume half message check",
    324: "send reply message", 325: "send reply message (short names)", 326: "push reply to the client",
}
BODY_MAX = 6000
GOOD = (0, 19, 20, 21)  # the last three: nothing to pull now


def parse(frame):
    word, = struct.unpack_from(">I", frame)
    kind, size = word >> 24, word & 0xffffff
    head, body = frame[4:4 + size], frame[4 + size:]
    if kind == 0:
        h = json.loads(head)
        return "json", h["code"], h["opaque"], h["flag"], h.get("extFields") or {}, h.get("language"), body
    code, _language, _version, opaque, flag, remark = struct.unpack_from(">hbhiii", head)
    at, fields = 17 + remark, {}
    total, = struct.unpack_from(">i", head, at)
    at += 4
    end = at + total
    while at < end:
        n, = struct.unpack_from(">h", head, at)
        key = head[at + 2:at + 2 + n].decode()
        at += 2 + n
        n, = struct.unpack_from(">i", head, at)
        fields[key] = head[at + 4:at + 4 + n].decode()
        at += 4 + n
    return "binary", code, opaque, flag, fields, _language, body


def tidy(frame):
    """Scratch folders of the recording become a neutral one of the same length."""
    return re.sub(rb"/tmp/kerolox-capture\.\w{6}", b"/home/rocketmq/capture/data", frame)



def variety(request, answer, fields, body):
    """What else makes a body of its own kind."""
    if request == 103 and not answer:  # all topics at start, one when it is created; compressed or not
        compressed = fields.get("compressed") == "true"
        plain = zlib.decompress(body) if compressed else body
        return "%s%s" % (", all topics" if b"TBW102" in plain else ", one topic", ", compressed" if compressed else "")
    if request == 34 and not answer:
        return ", ".join(sorted({b.decode() for _, b in re.findall(rb'"(consumeType|messageModel|consumeFromWhere|expressionType)":"(\w+)"', body)}))
    if request == 11 and answer and body:
        size, = struct.unpack_from(">I", body)
        return ", flags %d%s" % (struct.unpack_from(">I", body, 36)[0], ", several" if size < len(body) else "")
    return ""


def main(recording, out_dir):
    asked, kinds, refused, total = {}, {}, set(), 0
    with open(recording, encoding="ascii") as f:
        for line in f:
            r = json.loads(line)
            frame = tidy(bytes.fromhex(r["hex"]))
            serial, code, opaque, flag, fields, _, body = parse(frame)
            total += 1
            answer = bool(flag & 1)
            other = "out" if r["dir"] == "in" else "in"
            if answer:
                request, was = asked.pop((r["link"], r["conn"], other, opaque), (None, None))
                if request is None:
                    continue
                refused.discard(was)
                if code not in GOOD:
                    refused.add(was)
            else:
                request = code
                asked[(r["link"], r["conn"], r["dir"], opaque)] = code, frame
            client = "broker" if r["link"] == "namesrv" and r["label"] == "server" else r["label"]
            special = variety(request, answer, fields, body)
            key = (client, r["link"], r["dir"], answer, request, code, serial, tuple(sorted(fields)), bool(body), special)
            if len(body) > BODY_MAX:
                continue
            kinds.setdefault(key, []).append(frame)
    # requests that were carried out are preferred to those that were refused, then the shortest
    kinds = {key: min(frames, key=lambda f: (f in refused, len(f))) for key, frames in kinds.items()}
    os.makedirs(out_dir, exist_ok=True)
    files = {}
    for key in sorted(kinds, key=lambda k: (k[0], k[4], k[3], k[5], k[2], k[6], k[7], k[8], str(k[9]))):
        client, link, way, answer, request, code, _, _, _, special = key
        note = NAMES.get(request, "code %d" % request) + (", answer" if answer else "")
        if answer and code:
            note += " with code %d" % code
        note += special if special.startswith(",") else ", " + special if special else ""
        files.setdefault(client, []).append(json.dumps(
            {"client": client, "link": link, "way": way, "kind": "answer" if answer else "request", "code": code,
             "request_code": request, "note": note, "hex": kinds[key].hex()}, separators=(",", ":")))
    size = 0
    for client, lines in sorted(files.items()):
        path = os.path.join(out_dir, client + ".jsonl")
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        size += os.path.getsize(path)
        print("%-12s %4d frames" % (client, len(lines)))
    print("%d frames recorded, %d kept, %d bytes" % (total, len(kinds), size))


main(*sys.argv[1:])
