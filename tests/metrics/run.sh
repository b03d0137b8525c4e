#!/usr/bin/env bash
# Scrapes a broker and a name server under real traffic of the Java client and compares what they say with mqadmin's figures.
# Both also export to a collector, and what arrives there is decoded with OpenTelemetry's own types (the Python packages
# of tests/requirements.txt). The second producer runs under OpenTelemetry's agent for Java: the spans of its sends are the
# parents of the broker's.
#
#   tests/metrics/run.sh                NS_PORT, BROKER_PORT, METRICS_PORT, NS_METRICS_PORT and OTEL_PORT name the ports
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
METRICS_PORT=${METRICS_PORT:-18557} NS_METRICS_PORT=${NS_METRICS_PORT:-18558} OTEL_PORT=${OTEL_PORT:-18318}
AGENT=2.9.0
export NAMESRV_ADDR=127.0.0.1:$NS
scratch metrics
ADMIN=$ROOT/bin/mqadmin
get() { curl -s "http://127.0.0.1:${2:-$METRICS_PORT}/$1"; }
check() { "$PYTHON" "$ROOT/tests/metrics/check.py" "$@"; }
# figures FILE: a page together with what mqadmin says at the same moment
figures() {
  get metrics >"$1.page"
  "$ADMIN" topicStatus -t orders >"$1.topic"
  "$ADMIN" consumerProgress -g quickstart_consumer >"$1.group"
  "$ADMIN" brokerStatus -b "127.0.0.1:$BROKER" >"$1.broker"
}

mkdir -p "$dir/collector"
spawn "$dir/collector" "$PYTHON" "$ROOT/tests/metrics/collector.py" "$OTEL_PORT" "$dir/collector"
wait_line "$dir/collector" ready
export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$OTEL_PORT OTEL_EXPORTER_OTLP_HEADERS='x-tenant=seven%20eight'
export OTEL_METRIC_EXPORT_INTERVAL=1000
# exported SIGNAL: until two more messages have arrived, the second of which was begun after this call
exported() {
  local before
  before=$(ls "$dir/collector" | grep -c "$1\$")
  for _ in $(seq 100); do
    [ "$(ls "$dir/collector" | grep -c "$1\$")" -ge $((before + 4)) ] && return
    sleep 0.1
  done
  fail "nothing is exported"
}

printf 'metricsPort=%s\nautoCreateTopicEnable=false\n' "$METRICS_PORT" >"$dir/more.conf"
start_broker kerolox "$BROKER" "$NAMESRV_ADDR" "$dir/broker" "$dir/more.conf"
[ "$(get healthz)" = ok ] || fail "not healthy"
get readyz | grep -q '^not ready: registered at none of the name servers' || fail "ready without a name server"
echo "metricsPort=$NS_METRICS_PORT" >"$dir/ns.conf"
start_namesrv kerolox "$NS" "$dir/ns" "$dir/ns.conf"
[ "$(get healthz "$NS_METRICS_PORT") $(get readyz "$NS_METRICS_PORT")" = "ok ready" ] || fail "the name server is not ready"
for _ in $(seq 100); do [ "$(get readyz)" = ready ] && break; sleep 0.1; done
[ "$(get readyz)" = ready ] || fail "not ready: $(get readyz)"

"$ADMIN" updateTopic -c DefaultCluster -t orders -r 4 -w 4 >/dev/null
"$RMQ" quickstart "$RMQ_VERSION" produce "$NAMESRV_ADDR" orders 300 >"$dir/produce.out" 2>&1 || { tail "$dir/produce.out"; fail "nothing was sent"; }
mkdir -p "$dir/consumer"
spawn "$dir/consumer" timeout 120 "$RMQ" quickstart "$RMQ_VERSION" consume "$NAMESRV_ADDR" orders 1000000
for _ in $(seq 300); do
  "$ADMIN" consumerProgress -g quickstart_consumer 2>/dev/null | grep -q 'Diff Total: 0' && break
  sleep 0.2
done
figures "$dir/idle"
found=$(check "$dir/idle" "$ROOT/deploy/grafana/kerolox.json" 300 0)
say "consumed: $found"

# nobody consumes any more; a sender that knows the broker but no topic
stop_server "$dir/consumer"
agent=$ROOT/target/otel/opentelemetry-javaagent-$AGENT.jar
[ -f "$agent" ] || mvn -q -B dependency:copy -Dartifact="io.opentelemetry.javaagent:opentelemetry-javaagent:$AGENT" \
  -DoutputDirectory="${agent%/*}" >"$dir/mvn.out" 2>&1 || { tail "$dir/mvn.out"; fail "no agent for Java"; }
OTEL_SERVICE_NAME=producer OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none \
  RMQ_JAVA_OPTS="-javaagent:$agent" \
  "$RMQ" quickstart "$RMQ_VERSION" produce "$NAMESRV_ADDR" orders 200 >"$dir/produce.out" 2>&1 || fail "nothing was sent"
"$PYTHON" - "$BROKER" "$NS" <<'PY'
import sys
import mq
conn = mq.Conn(f"127.0.0.1:{sys.argv[1]}")
for _ in range(3):
    try:
        conn.call(310, mq.send_fields("walk", "no-such-topic", 0, ""), b"x")
        sys.exit("a send to a missing topic was taken")
    except mq.Refused as refused:
        assert refused.code == 17, refused.code
try:
    mq.Conn(f"127.0.0.1:{sys.argv[2]}").call(105, {"topic": "no-such-topic"})
    sys.exit("a missing topic has a route")
except mq.Refused as refused:
    assert refused.code == 17, refused.code
PY
sleep 1.1
figures "$dir/lagging"
found=$(check "$dir/lagging" "$ROOT/deploy/grafana/kerolox.json" 500 3)
say "lagging: $found"

exported metrics
get metrics "$NS_METRICS_PORT" >"$dir/registered.page"
for service in broker namesrv; do
  page=$dir/lagging.page still="rocketmq_producer_offset rocketmq_consumer_offset rocketmq_group_diff kerolox_send_seconds_count
    kerolox_send_seconds_sum kerolox_refused_total rocketmq_brokeruntime_msg_put_total_today_now"
  [ $service = broker ] || page=$dir/registered.page still="kerolox_namesrv_topics kerolox_namesrv_refused_total"
  # shellcheck disable=SC2086 # names, one word each
  found=$("$PYTHON" "$ROOT/tests/metrics/export.py" "$dir/collector" "$page" "kerolox-$service" $still)
  say "exported: $found"
done
found=$("$PYTHON" "$ROOT/tests/metrics/traces.py" "$dir/collector" "$BROKER" 200)
say "traced: $found"
touch "$dir/collector/stuck"
"$PYTHON" "$ROOT/tests/metrics/stuck.py" "$BROKER" 10000
get metrics >"$dir/stuck.page"
dropped=$(sed -n 's/^kerolox_otel_spans_dropped_total \([0-9]*\).*/\1/p' "$dir/stuck.page")
[ "$dropped" -gt 0 ] || fail "a collector that does not answer, and no span was dropped"
say "a stuck collector: 10000 followed sends were answered, $dropped spans dropped and counted"
"$ADMIN" topicList >"$dir/topics"
stop_server "$dir/broker"
get metrics "$NS_METRICS_PORT" >"$dir/left.page"
found=$("$PYTHON" "$ROOT/tests/metrics/namesrv.py" "$dir/registered.page" "$dir/left.page" "$dir/topics")
say "name server: $found"
rm "$dir/collector/stuck"
echo 'metricsSeriesMax=2' >>"$dir/more.conf"
start_broker kerolox "$BROKER" "$NAMESRV_ADDR" "$dir/broker" "$dir/more.conf"
get metrics >"$dir/few.page"
[ "$(grep -c '^rocketmq_producer_tps{' "$dir/few.page")" = 2 ] || fail "more series than metricsSeriesMax"
left=$(sed -n 's/^kerolox_metrics_left_out{kind="topic"} \([0-9]*\).*/\1/p' "$dir/few.page")
[ "$left" -gt 0 ] || fail "nothing was left out"
say "metricsSeriesMax=2: $left topics left out and counted"
