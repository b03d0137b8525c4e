"""namesrv.py BEFORE AFTER TOPICS: two pages of a name server, with one broker registered and once that has stopped. TOPICS is
what `mqadmin topicList` says before."""
import sys

from page import Page

before, after = Page(sys.argv[1]), Page(sys.argv[2])
topics = len(open(sys.argv[3]).read().split())
asked = {"request": "GET_ROUTEINFO_BY_TOPIC"}
for name, wanted in (("clusters", 1), ("brokers", 1), ("registered", 1), ("topics", topics), ("missing_topics", 1),
                     ("metrics_left_out", 0)):
    found = before.value(f"kerolox_namesrv_{name}")
    assert found == wanted, (name, found, wanted)
assert 0 <= before.value("kerolox_namesrv_registration_age_seconds", broker="broker-a", id="0") < 120
routes = before.value("kerolox_namesrv_requests_total", **asked)
in_vain = before.value("kerolox_namesrv_refused_total", code="17", **asked)
assert routes > in_vain > 0, (routes, in_vain)
assert before.value("kerolox_namesrv_requests_total", request="REGISTER_BROKER") > 0
assert before.value("kerolox_namesrv_connections_open") > 0
assert before.value("process_resident_memory_bytes") > 1e6
assert before.kinds["kerolox_namesrv_requests"] == "counter", before.kinds
assert not any(name.startswith(("rocketmq_", "kerolox_send")) for name in before.series), "figures of a broker"

for name in ("brokers", "registered", "topics"):
    assert after.value(f"kerolox_namesrv_{name}") == 0, name
assert "kerolox_namesrv_registration_age_seconds" not in after.series
gone = after.value("kerolox_namesrv_brokers_removed_total", why="unregistered")
assert gone == before.value("kerolox_namesrv_brokers_removed_total", why="unregistered") + 1, gone
print(f"{before.size()} series; topics {topics}, routes asked for {int(routes)}, in vain {int(in_vain)}, then the broker left")
