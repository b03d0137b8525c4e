#!/usr/bin/env python3
"""Histories of load, power losses and starts of one broker; after every start what was acknowledged is asked for.

A history is at most ten rounds on one data folder. Each round loads the broker, ends it in one of the ways below, starts it
again and checks (tests/lib/ledger.py). A history ends at the first thing that is wrong, and says with which seed it can be
had again.
"""
import argparse
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time

import disk
import ledger
import mq
from load import Load

ROUNDS_OF_A_HISTORY = 10
# How rounds end, one after the other, over and over; "any" is one of all others.
SCENARIOS = {
    "power": ["power"],
    "torn": ["torn"],
    "kill-then-power": ["kill", "power", "kill", "torn", "kill-start-power"],
    "stop-then-power": ["stop-power"],
    "failed-sync": ["failed-kill", "power", "failed-power"],
    "failed-side-sync": ["failed-kill", "power", "failed-power"],
    "new-folder": ["power", "torn"],
    "deletions": ["kill", "power", "torn"],
    "mixed": ["any"],
    "planted": ["stop-power"],      # never torn: what is not synced must not survive by chance
}
ENDS = ("power", "torn", "kill", "kill-start-power", "stop-power", "failed-kill", "failed-power")
LOG, SIDE_FILES = "/commitlog/", ("/consumequeue/", "/index/", "/config/", "checkpoint")
# In these a topic is deleted and made again all the time.
WITH_DELETIONS = ("deletions", "mixed")
CONF = """
flushDiskType={mode}_FLUSH
storePathRootDir={store}
storePathCommitLog={store}/commitlog
mappedFileSizeCommitLog=1048576
mappedFileSizeConsumeQueue=6000
maxMessageSize=65536
maxHashSlotNum=2000
maxIndexNum=8000
waitTimeMillsInSendQueue=5000
flushDelayOffsetInterval=300
flushConsumerOffsetInterval=300
autoCreateTopicEnable=false
"""


class History:
    """One broker and its disk."""

    def __init__(self, a, number):
        self.a, self.seed = a, a.seed + number
        self.folder = os.path.join(a.dir, "%s-%d" % (a.scenario, number))
        self.ledger = ledger.Ledger(random.Random(self.seed))
        self.rng = self.ledger.rng
        self.deletions = a.scenario in WITH_DELETIONS
        self.failing = {"failed-sync": (LOG,), "failed-side-sync": SIDE_FILES}.get(a.scenario, (LOG, *SIDE_FILES))
        self.losses = self.failed_syncs = 0
        self.end, self.process = "first start", None
        os.makedirs(self.folder)
        path = os.path.join(self.folder, "disk")
        self.disk = disk.ShadowDisk(path, a.shim) if a.disk == "shadow" else disk.LoopDisk(path, a.disk)
        store = os.path.join(path, "data", "store")
        if a.scenario != "new-folder":
            os.makedirs(store)
            self.disk.settle()
        self.conf = os.path.join(self.folder, "extra.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(mode=a.mode.upper(), store=store))

    def start(self):
        command = self.a.start.split() + [self.folder, self.conf]
        done = subprocess.run(command, timeout=120, env=dict(os.environ, **self.disk.environment()), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if not line.startswith("FAILED") and " WARN " not in line]
            raise ledger.Violation("the broker does not start: %s" % " | ".join(said[-2:]))
        self.check_shim()

    def check_shim(self):
        with open("/proc/%d/maps" % self.pid(), encoding="utf-8", errors="replace") as f:
            if self.a.disk == "shadow" and self.a.shim not in f.read():
                raise SystemExit("the binary does not load %s: is it static?" % self.a.shim)

    def pid(self):
        with open(os.path.join(self.folder, "pid"), encoding="ascii") as f:
            return int(f.read())

    def signal(self, number):
        """Sends the signal; a broker whose log failed may have ended by itself."""
        try:
            self.process = os.pidfd_open(self.pid())
            signal.pidfd_send_signal(self.process, number)
        except ProcessLookupError:
            pass

    def wait_gone(self):
        """Until all threads of what was sent a signal have ended."""
        if self.process is None:
            return
        ended, _, _ = select.select([self.process], [], [], 40)
        os.close(self.process)
        self.process = None
        if not ended:
            raise ledger.Violation("the broker did not end")

    def run(self, rounds):
        self.start()
        conn = mq.Conn(self.a.address)
        conn.create_topic(ledger.TOPIC, ledger.QUEUES)
        conn.create_topic(ledger.LATE, 1)
        conn.close()
        ends = SCENARIOS[self.a.scenario]
        for number in range(rounds):
            self.ledger.round = number + 1
            self.end = ends[number % len(ends)]
            self.round(self.rng.choice(self.a.ends) if self.end == "any" else self.end)
        conn = mq.Conn(self.a.address)
        self.ledger.check_finally(conn)
        conn.close()
        if self.ledger.sent < 20 * rounds:
            raise ledger.Violation("too few messages were sent to prove anything")

    def round(self, end):
        """Load, an end, a start and a check."""
        self.end = end
        self.load()
        self.wait_gone()
        if end == "kill-start-power":
            self.start()
            self.signal(signal.SIGKILL)
            self.wait_gone()
        power_lost = end not in ("kill", "failed-kill")
        if power_lost:
            self.losses += 1
            torn = end == "torn" or end != "power" and self.a.scenario != "planted" and self.rng.random() < 0.5
            self.disk.lose_power(self.rng if torn else None)
        self.start()
        conn = mq.Conn(self.a.address)
        everything = self.a.mode == "sync" or not power_lost or end == "stop-power"
        self.ledger.check(conn, everything, power_lost, self.deletions)
        conn.close()

    def load(self):
        fails = self.end.startswith("failed")
        load = Load(self.ledger, self.a.address, self.deletions)
        if fails:
            part = self.rng.choice(self.failing)
            load.later(self.rng.uniform(0.2, 0.8), lambda: self.disk.fail_next_sync(part))
        stops = self.end == "stop-power"
        load.run(self.rng.uniform(1.2, 1.8) if fails else self.rng.uniform(0.2, 1.2),
                 lambda: self.signal(signal.SIGTERM if stops else signal.SIGKILL), patience=30 if stops else 5, may_end=fails)
        if fails:
            self.failed_syncs += self.disk.sync_failed()

    def close(self):
        try:
            self.signal(signal.SIGKILL)
            self.wait_gone()
        except FileNotFoundError:
            pass    # it never started
        self.disk.close()


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--scenario", required=True, choices=SCENARIOS)
    p.add_argument("--mode", required=True, choices=("sync", "async"))
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--address", required=True)
    p.add_argument("--dir", required=True)
    p.add_argument("--start", required=True, help="command that starts the broker, given its folder and a file of settings")
    p.add_argument("--shim", help="shim.so")
    p.add_argument("--disk", default="shadow", choices=("shadow", "ext4", "xfs"))
    p.add_argument("--seed", type=int, default=int(time.time()))
    a = p.parse_args()
    if not a.address.startswith("127."):
        raise SystemExit("only a loopback address")
    a.ends = [e for e in ENDS if a.disk == "shadow" or not e.startswith("failed")]
    return a


def play(a, number, rounds, keep):
    """Runs one history; its sums, and what was wrong. Its folder is kept then, for one of a scenario."""
    h, wrong = History(a, number), None
    try:
        h.run(rounds)
    except (AssertionError, mq.Refused, OSError, EOFError) as e:
        wrong = "%s %s: seed %d, round %d, %s: %s: %s" % (a.mode, a.scenario, h.seed, h.ledger.round, h.end, type(e).__name__, e)
    finally:
        h.close()
    if not (wrong and keep or os.environ.get("KEEP")):
        shutil.rmtree(h.folder)
    return h, wrong


def main():
    a, began, bad, played = arguments(), time.monotonic(), 0, []
    for number, first in enumerate(range(0, a.rounds, ROUNDS_OF_A_HISTORY)):
        h, wrong = play(a, number, min(ROUNDS_OF_A_HISTORY, a.rounds - first), keep=not bad)
        played.append(h)
        if wrong:
            bad += 1
            print(wrong, flush=True)
    total = lambda of: sum(map(of, played))
    print("%s %s: %d histories, %d of them wrong; %d power losses, %d failed syncs, %d acknowledged, %d of them lost as ASYNC_FLUSH may, "
          "%d requests refused, %d delayed messages, a topic made again %d times; %.0f s"
          % (a.mode, a.scenario, len(played), bad, total(lambda h: h.losses), total(lambda h: h.failed_syncs), total(lambda h: h.ledger.sent),
             total(lambda h: h.ledger.lost), total(lambda h: h.ledger.refused), total(lambda h: len(h.ledger.delayed.due)),
             total(lambda h: h.ledger.generations), time.monotonic() - began), flush=True)
    return 1 if bad else 0


sys.exit(main())
