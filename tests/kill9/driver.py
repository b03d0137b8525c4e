#!/usr/bin/env python3
"""Sends under load, kills the broker with -9, starts it again, and checks every queue against what was acknowledged.

One round: start; read what is new in every queue and compare; load from several connections for a random moment; kill.
Checked: offsets without a gap; every acknowledged message at its offset with its body; no message twice; the messages of one
sender in the order it sent them; a group goes on within what it consumed and what is there; delayed messages come; a topic
that was deleted and made again holds what was acknowledged since, and nothing else. Some keys are looked up after every
start. After the last round all queues are read again from their beginning.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

import ledger
import mq
from load import Load


def create_topics(address):
    conn = mq.Conn(address)
    conn.create_topic(ledger.TOPIC, ledger.QUEUES)
    conn.create_topic(ledger.LATE, 1)
    conn.close()


def pid_of(folder):
    with open(os.path.join(folder, "pid"), encoding="ascii") as f:
        return int(f.read())


def rounds(book, a):
    """Seconds that the starts took."""
    start_time = 0.0
    for book.round in range(a.rounds + 1):
        t = time.monotonic()
        subprocess.run(a.start.split(), check=True, timeout=120)
        start_time += time.monotonic() - t
        if book.round == 0:
            create_topics(a.address)
        else:
            conn = mq.Conn(a.address)
            book.check(conn, everything=True, power_lost=False, deletions=a.deletions)
            conn.close()
        if book.round < a.rounds:
            pid = pid_of(a.dir)
            load = Load(book, a.address, a.deletions)
            load.run(book.rng.uniform(0.3, 1.2), lambda pid=pid: os.kill(pid, signal.SIGKILL))
    conn = mq.Conn(a.address)
    book.check_finally(conn)
    conn.close()
    return start_time


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=50)
    p.add_argument("--address", required=True)
    p.add_argument("--dir", required=True, help="the broker's folder, with its pid file")
    p.add_argument("--start", required=True, help="command that starts the broker and returns when it serves")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--no-deletions", dest="deletions", action="store_false", help="leave the topic alone that is deleted and made again")
    a = p.parse_args()
    if not a.address.startswith("127."):
        raise SystemExit("only a loopback address")
    return a


def main():
    a = arguments()
    book, began = ledger.Ledger(random.Random(a.seed)), time.monotonic()
    print("seed %d" % a.seed, flush=True)
    try:
        start_time = rounds(book, a)
    except (AssertionError, mq.Refused, OSError, EOFError) as e:
        print("round %d: %s: %s" % (book.round, type(e).__name__, e), flush=True)
        return 1
    print("%d rounds, %.1f s each (start %.2f s): %d acknowledged, all there; %d stored, of them %d not answered before the kill, "
          "%d unanswered batches cut, %d requests refused; keys found within %.1f s of a start; %d delayed messages came; "
          "a topic made again %d times"
          % (a.rounds, (time.monotonic() - began) / a.rounds, start_time / (a.rounds + 1), book.sent, sum(len(q.stored) for q in book.queues),
             book.unanswered_found, book.cut_batches, book.refused, book.key_wait, len(book.delayed.due), book.generations), flush=True)
    if book.sent < 20 * a.rounds:
        print("too few messages were sent to prove anything", flush=True)
        return 1
    return 0


sys.exit(main())
