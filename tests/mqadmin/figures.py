"""Sends and pulls the same at two brokers for a while, then prints every figure of both: seconds, reference, Kerolox."""
import json
import sys
import time

from mq import FOUND, Conn, PULL, SEND, properties, send_fields

RUNTIME, STATS = 28, 315
NAMES = [("TOPIC_PUT_NUMS", "load"), ("TOPIC_PUT_SIZE", "load"), ("GROUP_GET_NUMS", "load@readers"), ("GROUP_GET_SIZE", "load@readers"),
         ("BROKER_PUT_NUMS", "DefaultCluster"), ("BROKER_GET_NUMS", "DefaultCluster"), ("SNDBCK_PUT_NUMS", "load@readers")]
RATE, QUEUES = 40, 4  # messages a second at each


class Side:
    def __init__(self, address):
        self.conn = Conn(address, 20)
        self.conn.create_topic("load", QUEUES)
        self.next, self.sent, self.got = [0] * QUEUES, 0, 0

    def send(self):
        queue = self.sent % QUEUES
        self.conn.call(SEND, send_fields("writers", "load", queue, properties({"TAGS": "TagA"})), b"x" * 100)
        self.sent += 1

    def pull(self):
        for queue in range(QUEUES):
            code, self.next[queue], records = self.conn.pull("load", queue, self.next[queue], 32, group="readers")
            self.got += len(records)

    def runtime(self):
        return json.loads(self.conn.call(RUNTIME)[1])["table"]

    def stats(self, name, key):
        try:
            return json.loads(self.conn.call(STATS, {"statsName": name, "statsKey": key})[1])
        except Exception as why:
            return str(why)


def main():
    seconds, sides = int(sys.argv[1]), [Side(address) for address in sys.argv[2:]]
    begun = time.monotonic()
    for step in range(seconds * RATE):
        wait = begun + step / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        for side in sides:
            side.send()
            if step % RATE == 0:
                side.pull()
    print("sent %s, pulled %s, in %.1f s" % ([s.sent for s in sides], [s.got for s in sides], time.monotonic() - begun))
    both = [side.runtime() for side in sides]
    for key in sorted(set().union(*both)):
        print("%-40s %-70s %s" % (key, *(figures.get(key, "-") for figures in both)))
    for name, key in NAMES:
        both = [side.stats(name, key) for side in sides]
        for window in ("statsMinute", "statsHour", "statsDay"):
            shown = [figures if isinstance(figures, str) else json.dumps(figures.get(window)) for figures in both]
            print("%-40s %-70s %s" % ("%s %s %s" % (name, key, window), *shown))


main()
