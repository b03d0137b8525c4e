#!/usr/bin/env python3
"""Sends as fast as the broker answers, and kills it with -9 in the middle; notes what was acknowledged in the manifest.

    burst.py ADDRESS PID MANIFEST COUNT
"""
import hashlib
import os
import random
import signal
import sys

import mq

TOPIC, QUEUES, UNDER_WAY, BATCH = "IxBurst", 4, 64, 8


def main(address, pid, manifest, count):
    conn, rng = mq.Conn(address), random.Random(7)
    waiting, lines, number = {}, [], 0

    def post():
        nonlocal number
        number += 1
        queue = number % QUEUES
        items = []
        for i in range(BATCH if number % 10 == 0 else 1):
            items.append((rng.randbytes(rng.randrange(1, 600)), {"KEYS": "burst-%d-%d" % (number, i), "TAGS": "TagB"}))
        if len(items) == 1:
            body, p = items[0]
            opaque = conn.post(mq.SEND, mq.send_fields("IxProducers", TOPIC, queue, mq.properties(p)), body)
        else:
            opaque = conn.post(mq.SEND_BATCH, mq.send_fields("IxProducers", TOPIC, queue, "WAIT\x01true\x02", batch=True),
                               mq.batch_body((b, mq.properties(p)) for b, p in items))
        waiting[opaque] = (queue, items)

    for _ in range(UNDER_WAY):
        post()
    while True:
        try:
            head, _ = conn.take()
        except (EOFError, ConnectionError):
            break
        if head["code"] != 0:
            raise SystemExit("code %d: %s" % (head["code"], head.get("remark")))
        queue, items = waiting.pop(head["opaque"])
        fields = head["extFields"]
        for i, ((body, p), place) in enumerate(zip(items, fields["msgId"].split(","))):
            lines.append("\t".join(["message", TOPIC, str(queue), str(int(fields["queueOffset"]) + i), place, place, p["TAGS"], p["KEYS"], "",
                                    hashlib.sha256(body).hexdigest()[:20]]))
        if pid and len(lines) >= count:
            os.kill(pid, signal.SIGKILL)
            pid = 0
        elif pid:
            try:
                post()
            except ConnectionError:
                break
    with open(manifest, "a", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    print("burst: %d acknowledged, %d requests without an answer, killed" % (len(lines), len(waiting)))
    return 0 if len(lines) >= count else 1


sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
