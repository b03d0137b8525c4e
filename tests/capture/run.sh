#!/usr/bin/env bash
# Records what real clients, a real broker and a real name server say to each other, and reduces it to the golden frames in
# crates/kerolox-wire/testdata/captures. Needs the shared folder, Java, Maven, Go, Node and Python; takes some 15 minutes.
#
#   tests/capture/run.sh [PHASE...]     phases: java go node binary old register (default: all), then reduce
#   RAW=DIR keeps the raw recording there and adds to it; `tests/capture/run.sh reduce` alone reduces what DIR holds.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
NS=19876 NS_PROXY=29876 BROKER=20911 BROKER_PROXY=21911
phases=${*:-java go node binary old register reduce}
scratch capture
raw=${RAW:-$dir/raw}
mkdir -p "$raw"
label() { echo "$1" > "$dir/label"; }

# Clients find the broker at the proxy's port: in routes and in message ids (20911 = 51AF, 21911 = 5597) alike.
start_all() { # EXTRA_CONF
  start_namesrv reference $NS "$dir/ns"
  label server
  mkdir -p "$dir/proxy"
  spawn "$dir/proxy" "$PYTHON" "$ROOT/tests/capture/record.py" --out "$raw/frames.jsonl" --label-file "$dir/label" \
    --replace 127.0.0.1:$BROKER=127.0.0.1:$BROKER_PROXY --replace 7F000001000051AF=7F00000100005597 \
    "namesrv:$NS_PROXY=$NS" "broker:$BROKER_PROXY=$BROKER"
  wait_line "$dir/proxy" recording
  start_broker reference $BROKER 127.0.0.1:$NS_PROXY "$dir/br" "$1"
}
stop_all() {
  stop_server "$dir/br"
  stop_server "$dir/proxy"
  stop_server "$dir/ns"
  rm -rf "$dir/br/store"
}

kit() { # TAGS: the Java suite, through the proxy; its verdict does not matter here
  [ -d "$dir/java" ] || { cp -r "$SHARED/conformance/java" "$dir/java" && chmod -R u+w "$dir/java"; }
  NAMESRV_ADDR=127.0.0.1:$NS_PROXY "$dir/java/run.sh" "$1" | tail -n 3 || true
}

cp "$SHARED/conformance/java/conf/broker.test.conf" "$dir/extra.conf"
cp "$dir/extra.conf" "$dir/compressed.conf"
echo compressedRegister=true >> "$dir/compressed.conf"
for phase in $phases; do
  [ "$phase" = reduce ] || say "$phase"
  case $phase in
    java)
      start_all "$dir/extra.conf"
      label java
      NAMESRV=127.0.0.1:$NS_PROXY
      "$RMQ" quickstart "$RMQ_VERSION" produce $NAMESRV Quickstart 5
      "$RMQ" quickstart "$RMQ_VERSION" consume $NAMESRV Quickstart 5
      kit "${KIT:-basic,order,retry,delay,query,rpc,tx,admin,filter}"
      stop_all ;;
    go | node)
      start_all "$dir/extra.conf"
      label "$phase"
      NAMESRV_ADDR=127.0.0.1:$NS_PROXY OLD_SERVER=1 "$SHARED/conformance/run.sh" "$phase" remoting | tail -n 3 || true
      stop_all ;;
    binary)
      start_all "$dir/extra.conf"
      label java-binary
      ROCKETMQ_SERIALIZE_TYPE=ROCKETMQ "$RMQ" quickstart "$RMQ_VERSION" produce 127.0.0.1:$NS_PROXY Quickstart 5
      ROCKETMQ_SERIALIZE_TYPE=ROCKETMQ "$RMQ" quickstart "$RMQ_VERSION" consume 127.0.0.1:$NS_PROXY Quickstart 5
      ROCKETMQ_SERIALIZE_TYPE=ROCKETMQ kit QueryTest,RetryTest#sendMessageBackByAPullConsumer,OrderTest#queueLocksAreExclusivePerGroup
      stop_all ;;
    old) # sends with long field names (code 10), as clients before 3.x and `sendSmartMsg=false` do
      start_all "$dir/extra.conf"
      label java-v1
      "$RMQ" java "$RMQ_VERSION" -Dorg.apache.rocketmq.client.sendSmartMsg=false "$SHARED/reference/Quickstart.java" \
        produce 127.0.0.1:$NS_PROXY Quickstart 5
      stop_all ;;
    register)
      start_all "$dir/compressed.conf"
      label java
      "$RMQ" mqadmin "$RMQ_VERSION" clusterList -n 127.0.0.1:$NS_PROXY | tail -n 2
      stop_all ;;
    reduce)
      "$PYTHON" "$ROOT/tests/capture/reduce.py" "$raw/frames.jsonl" "$ROOT/crates/kerolox-wire/testdata/captures" ;;
    *) fail "no such phase: $phase" ;;
  esac
done
