#!/usr/bin/env python3
"""Every stored record of a broker, byte by byte, over plain pulls.

    dump.py save    ADDRESS FILE    notes the hash of each record of each queue of each topic the broker knows
    dump.py compare ADDRESS FILE    each noted record is there, at its offset, byte for byte (more may have come since)
"""
import hashlib
import json
import sys

import mq


def topics(conn):
    body = mq.lax(conn.call(mq.ALL_TOPICS)[1])
    return {name: c["readQueueNums"] for name, c in body["topicConfigTable"].items() if c["perm"] & 4}


def hashes(conn, topic, queue, end):
    return [hashlib.sha256(r.raw).hexdigest()[:16] for r in conn.drain(topic, queue, 0, end)]


def main(what, address, path):
    conn = mq.Conn(address)
    if what == "save":
        saved = {}
        for topic, queues in sorted(topics(conn).items()):
            for queue in range(queues):
                end = conn.max_offset(topic, queue)
                if end > 0:
                    saved["%s/%d" % (topic, queue)] = hashes(conn, topic, queue, end)
        with open(path, "w", encoding="ascii") as f:
            json.dump(saved, f)
        print("dump: %d records in %d queues" % (sum(map(len, saved.values())), len(saved)))
        return 0
    with open(path, encoding="ascii") as f:
        saved = json.load(f)
    bad = 0
    for place, was in saved.items():
        topic, queue = place.rsplit("/", 1)
        end = conn.max_offset(topic, int(queue))
        now = hashes(conn, topic, int(queue), min(end, len(was)))
        for offset, (a, b) in enumerate(zip(was, now)):
            if a != b:
                print("dump: %s/%d differs" % (place, offset))
                bad += 1
                break
        if len(now) < len(was):
            print("dump: %s ends at %d, was %d" % (place, len(now), len(was)))
            bad += 1
    print("dump: %d records in %d queues %s" % (sum(map(len, saved.values())), len(saved), "differ" if bad else "are the same bytes"))
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
