"""traces.py DIR BROKER_PORT SENT: pulls what an instrumented producer has sent, and looks at the spans that arrive in DIR. Each
of the SENT sends is a child of a span of the producer, lies within it, and a pull is linked to it."""
import sys
import time

import mq
import otlp

# Two processes read the clock of one machine, each at moments of its own.
CLOCKS_NS = 1_000_000
folder, port, sent = sys.argv[1], sys.argv[2], int(sys.argv[3])
conn = mq.Conn(f"127.0.0.1:{port}")
brought = 0
for queue in range(4):
    offset, end = 0, conn.max_offset("orders", queue)
    while offset < end:
        code, offset, got = conn.pull("orders", queue, offset, count=32)
        assert code == mq.FOUND, code
        brought += sum(record.property("traceparent") is not None for record in got)
assert brought == sent, (brought, sent)


def arrived():
    found = {}
    for message in otlp.messages(folder, "traces"):
        for one in message.resource_spans:
            service = otlp.values(one.resource.attributes)["service.name"]
            for span in (span for scope in one.scope_spans for span in scope.spans):
                assert span.span_id not in found, "a span twice"
                found[span.span_id] = service, span
    return found


def of(service, name):
    return [span for its, span in spans.values() if its == service and span.name == name]


for _ in range(100):
    spans = arrived()
    published, sends, pulls = of("producer", "orders publish"), of("kerolox-broker", "send orders"), of("kerolox-broker", "pull orders")
    linked = [link for pull in pulls for link in pull.links]
    if (len(published), len(sends), len(linked)) == (sent, sent, sent):
        break
    time.sleep(0.1)
assert (len(published), len(sends), len(linked)) == (sent, sent, sent), (len(published), len(sends), len(linked))
assert {send.parent_span_id for send in sends} == {one.span_id for one in published}
for send in sends:
    parent = spans[send.parent_span_id][1]
    assert send.trace_id == parent.trace_id and send.kind == send.SPAN_KIND_SERVER and send.status.code == 0
    assert parent.start_time_unix_nano - CLOCKS_NS <= send.start_time_unix_nano < send.end_time_unix_nano, send
    assert send.end_time_unix_nano <= parent.end_time_unix_nano + CLOCKS_NS, send
    said = otlp.values(send.attributes)
    assert (said["messaging.system"], said["messaging.operation.name"], said["messaging.destination.name"]) == (
        "rocketmq", "send", "orders"), said
    assert said["messaging.batch.message_count"] == 1 and said["rocketmq.queue.offset"] >= 0, said
assert {(link.trace_id, link.span_id) for link in linked} == {(one.trace_id, one.span_id) for one in published}
assert sum(otlp.values(pull.attributes)["messaging.batch.message_count"] for pull in pulls) >= sent
took = sorted(send.end_time_unix_nano - send.start_time_unix_nano for send in sends)[sent // 2]
print(f"{sent} sends within the spans of the producer, half of them below {took / 1e3:.0f} us; {len(pulls)} pulls linked to them")
