"""prepare CONFIG_FOLDER TOPICS GROUPS: tables of a broker with as many; each group has consumed five topics.
measure BROKER CONSOLE METRICS PID: times of every page, and the processor time of the console (PID) while nobody looks."""
import http.client
import json
import os
import sys
import time

import mq

TRIES = 5
IDLE_SECONDS = 20


def prepare(folder, topics, groups):
    version = {"timestamp": 1, "counter": 1}
    name = "orders-%05d"
    topic = {name % n: {"topicName": name % n, "readQueueNums": 4, "writeQueueNums": 4, "perm": 6, "order": False,
                        "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0} for n in range(topics)}
    group = {"group-%04d" % n: {"groupName": "group-%04d" % n, "consumeEnable": True, "consumeFromMinEnable": True,
                                "consumeBroadcastEnable": True, "retryQueueNums": 1, "retryMaxTimes": 16, "brokerId": 0,
                                "whichBrokerWhenConsumeSlowly": 1, "notifyConsumerIdsChangedEnable": True}
             for n in range(groups)}
    offsets = {f"{name % (n * 5 + i)}@group-{n:04d}": {str(q): 0 for q in range(4)}
               for n in range(groups) for i in range(5) if n * 5 + i < topics}
    for file, table in (("topics.json", {"dataVersion": version, "topicConfigTable": topic}),
                        ("subscriptionGroup.json", {"dataVersion": version, "subscriptionGroupTable": group}),
                        ("consumerOffset.json", {"offsetTable": offsets})):
        with open(os.path.join(folder, file), "w") as out:
            json.dump(table, out)


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(broker, console, metrics, pid):
    conn = mq.Conn(f"127.0.0.1:{broker}")
    for n in range(2000):
        conn.call(310, mq.send_fields("scale", f"orders-{n:05d}", n % 4, mq.properties({"KEYS": f"k{n}"})), b"x" * 100)
    http_ = http.client.HTTPConnection("127.0.0.1", console)
    http_.request("POST", "/api/login", json.dumps({"user": "admin", "password": "walk-the-console"}),
                  {"content-type": "application/json"})
    answer = http_.getresponse()
    cookie = answer.getheader("set-cookie").split(";")[0]
    assert answer.status == 200, answer.read()
    answer.read()
    pages = ["/", "/api/findings", "/api/missing-topics", "/api/brokers", "/api/brokers/broker-a/0", "/api/topics",
             "/api/topics?page=250&size=25", "/api/topics?search=99", "/api/topics?size=100", "/api/topics/orders-00007",
             "/api/groups", "/api/groups?search=199", "/api/groups?size=100", "/api/groups/group-0001",
             "/api/messages?topic=orders-00007", "/api/messages/by-key?topic=orders-00007&key=k7", "/api/trace?id=k7",
             "/api/delays", "/api/delays/timers", "/api/transactions", "/api/dead-letters", "/api/acl", "/api/accounts",
             "/api/audit"]
    print(f"{'page':<52} {'best ms':>8} {'worst ms':>8} {'bytes':>8}")
    slow = []
    for path in pages:
        times, size = [], 0
        for _ in range(TRIES):
            begin = time.monotonic()
            http_.request("GET", path, headers={"cookie": cookie})
            answer = http_.getresponse()
            size = len(answer.read())
            times.append((time.monotonic() - begin) * 1000)
            assert answer.status == 200, (path, answer.status)
        print(f"{path:<52} {min(times):8.1f} {max(times):8.1f} {size:8}")
        if sorted(times)[TRIES // 2] > 200:
            slow.append(path)
    scrape = http.client.HTTPConnection("127.0.0.1", metrics)
    begin = time.monotonic()
    scrape.request("GET", "/metrics")
    page = scrape.getresponse().read()
    print(f"{'/metrics of the broker':<52} {(time.monotonic() - begin) * 1000:8.1f} {'':>8} {len(page):8}")
    before = cpu(pid)
    time.sleep(IDLE_SECONDS)
    print(f"console while nobody looks: {(cpu(pid) - before) / IDLE_SECONDS * 100:.2f} % of a core")
    rss = [line for line in open(f"/proc/{pid}/status") if line.startswith(("VmRSS", "RssAnon"))]
    print("console memory: " + ", ".join(" ".join(line.split()) for line in rss))
    print("slower than 200 ms in the middle: " + (", ".join(slow) or "none"))


if sys.argv[1] == "prepare":
    prepare(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    measure(*map(int, sys.argv[2:6]))
