"""check.py FIGURES DASHBOARD SENT REFUSED: the page of FIGURES is well formed, has all that the dashboard asks for, and says
what mqadmin says."""
import json
import re
import sys

from page import Page

base, dashboard, sent, refused = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
# What its dashboards ask for and only a connected consumer could tell.
OF_CLIENTS = {"rocketmq_client_consume_fail_msg_count", "rocketmq_client_consume_fail_msg_tps",
              "rocketmq_client_consume_ok_msg_tps", "rocketmq_client_consume_rt", "rocketmq_client_consumer_pull_rt",
              "rocketmq_client_consumer_pull_tps"}
OF_EXPORTER = """broker_qps broker_tps brokeruntime_commitlog_disk_ratio brokeruntime_commitlog_maxoffset
brokeruntime_commitlog_minoffset brokeruntime_commitlogdir_capacity_free brokeruntime_commitlogdir_capacity_total
brokeruntime_consumequeue_disk_ratio brokeruntime_dispatch_behind_bytes brokeruntime_earliest_message_timestamp
brokeruntime_getfound_tps10 brokeruntime_getmiss_tps10 brokeruntime_gettotal_tps10 brokeruntime_gettransfered_tps10
brokeruntime_msg_gettotal_today_now brokeruntime_msg_gettotal_todaymorning brokeruntime_msg_gettotal_yesterdaymorning
brokeruntime_msg_put_total_today_now brokeruntime_msg_puttotal_todaymorning brokeruntime_msg_puttotal_yesterdaymorning
brokeruntime_pmdt_0ms brokeruntime_pmdt_0to10ms brokeruntime_pmdt_10to50ms brokeruntime_pmdt_50to100ms
brokeruntime_pmdt_100to200ms brokeruntime_pmdt_200to500ms brokeruntime_pmdt_500to1s brokeruntime_pmdt_1to2s
brokeruntime_pmdt_2to3s brokeruntime_pmdt_3to4s brokeruntime_pmdt_4to5s brokeruntime_pmdt_5to10s
brokeruntime_pmdt_10stomore brokeruntime_pull_threadpoolqueue_headwait_timemills brokeruntime_put_message_average_size
brokeruntime_put_message_size_total brokeruntime_put_tps10 brokeruntime_query_threadpoolqueue_headwait_timemills
brokeruntime_send_threadpoolqueue_headwait_timemills consumer_message_size consumer_offset consumer_tps
group_get_latency_by_storetime group_diff producer_message_size producer_offset producer_tps"""


def same(what, ours, theirs):
    assert ours == theirs, f"{what}: the page says {ours}, mqadmin {theirs}"
    told.append(f"{what} {int(ours)}")


def rows(kind, pattern):
    return [[int(n) for n in found] for found in re.findall(pattern, open(f"{base}.{kind}").read(), re.M)]


told = []
page = Page(f"{base}.page")
asked = {"rocketmq_" + name for name in OF_EXPORTER.split()}
for panel in json.load(open(dashboard))["panels"]:
    for target in panel["targets"]:
        asked |= set(re.findall(r"\b((?:rocketmq|kerolox|process)_[a-z0-9_]+)", target["expr"]))
may_be_empty = {"kerolox_refused_total", "rocketmq_topic_dlq_offset"}
missing = asked - set(page.series) - may_be_empty - OF_CLIENTS
assert not missing, f"asked for by a dashboard, not on the page: {sorted(missing)}"

queues = rows("topic", r"^\S+\s+\d+\s+(\d+)\s+(\d+)")
same("producer offset", page.value("rocketmq_producer_offset", topic="orders"), sum(last for _, last in queues))
same("sent", page.value("rocketmq_producer_offset", topic="orders"), sent)
progress = rows("group", r"^orders\s+\S+\s+\d+\s+(\d+)\s+(\d+)")
group = {"topic": "orders", "group": "quickstart_consumer"}
same("consumer offset", page.value("rocketmq_consumer_offset", **group), sum(at for _, at in progress))
lag = sum(end - at for end, at in progress)
same("lag", page.value("rocketmq_group_diff", **group), lag)
late = page.value("kerolox_group_lag_seconds", **group)
assert (late > 0) == (lag > 0), (late, lag)
puts = int(re.search(r"^msgPutTotalTodayNow\s*:\s*(\d+)", open(f"{base}.broker").read(), re.M)[1])
same("put", page.value("rocketmq_brokeruntime_msg_put_total_today_now"), puts)

for name in ("send", "store", "flush", "pull"):
    buckets = page.series[f"kerolox_{name}_seconds_bucket"]
    ordered = [buckets[key] for key in sorted(buckets, key=lambda labels: float(dict(labels)["le"]))]
    assert ordered == sorted(ordered) and ordered[-1] == page.value(f"kerolox_{name}_seconds_count"), name
    assert page.value(f"kerolox_{name}_seconds_sum") > 0, name
assert page.value("kerolox_send_seconds_count") == puts, (page.value("kerolox_send_seconds_count"), puts)
if refused:
    same("refused", page.value("kerolox_refused_total", request="send", code="17"), refused)
    same("missing topics", page.value("kerolox_missing_topics"), 1)
print(f"{page.size()} series; " + ", ".join(told))
