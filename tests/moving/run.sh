#!/usr/bin/env bash
# A cluster of two brokers and two name servers of RocketMQ 4.7.1 becomes one of Kerolox, server by server on the same folders
# and ports, and then one of RocketMQ again, under a steady load of ordered, delayed and transactional messages of the stock
# client: the steps of docs/moving.md. Nothing acknowledged is lost, order is kept, transactions end as decided.
#
#   [DRAIN=35] [SETTLE=35] tests/moving/run.sh [over|back ...]          default: over back
#
# DRAIN is how long a broker is left without new messages before it is stopped, SETTLE how long the next step waits: clients
# ask for routes every 30 s. The load and the judge are those of tests/failover.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
drain=${DRAIN:-35} settle=${SETTLE:-35}
NS=${NS_PORT:-19876} BROKER=${BROKER_PORT:-20911}
[ $# -gt 0 ] || set -- over back
dir=$(temp_dir moving)
trap '[ -z "${client:-}" ] || kill -- -$client 2>/dev/null || true; finish $? "$dir"' EXIT
names=(broker-a broker-b) ns=($NS $((NS + 1))) ports=($BROKER $((BROKER + 10)))
servers="127.0.0.1:${ns[0]};127.0.0.1:${ns[1]}"
for name in "${names[@]}"; do
  printf '%s\n' brokerName="$name" transactionTimeOut=3000 transactionCheckInterval=3000 transactionCheckMax=30 \
    autoCreateTopicEnable=false waitTimeMillsInSendQueue=5000 > "$dir/$name.conf"
done
echo orderMessageEnable=true > "$dir/namesrv.conf"

namesrv() { start_namesrv "$1" "${ns[$2]}" "$dir/ns$2" "$dir/namesrv.conf"; }
broker() { start_broker "$1" "${ports[$2]}" "$servers" "$dir/${names[$2]}" "$dir/${names[$2]}.conf"; }
note() { echo "$*" >> "$dir/events"; }
now() { date +%s%3N; }

move_namesrv() { # KIND INDEX
  say "the name server at port ${ns[$2]} becomes $1"
  stop_server "$dir/ns$2"
  namesrv "$1" "$2"
  sleep "$settle"
}
move_broker() { # KIND INDEX
  local name=${names[$2]}
  say "$name gets no new messages"
  "$ROOT/bin/mqadmin" wipeWritePerm -b "$name" -n "$servers" >/dev/null
  sleep "$drain"
  say "$name becomes $1"
  note killed "$name" "$(now)"
  stop_server "$dir/$name"
  broker "$1" "$2"
  note back "$name" "$(now)"
  sleep "$settle"
}

for i in 0 1; do namesrv reference $i; done
for i in 0 1; do broker reference $i; done
mkdir -p "$dir/client"
: > "$dir/events"
: > "$dir/client.out"
RMQ_CLIENT_HOME=$dir/client setsid "$RMQ" java "$RMQ_VERSION" "$ROOT/tests/failover/Failover.java" "$servers" "$dir/events" levels - \
  "${names[0]}=127.0.0.1:${ports[0]}" "${names[1]}=127.0.0.1:${ports[1]}" > "$dir/client.out" 2>&1 &
client=$!
until grep -q '^steady' "$dir/client.out"; do
  alive $client || { tail -40 "$dir/client.out"; fail "the client ended before everything was flowing"; }
  sleep 0.1
done
for way; do
  case $way in
    over) to=kerolox ;;
    back) to=reference ;;
    *) fail "over or back, not $way" ;;
  esac
  for i in 0 1; do move_namesrv $to $i; done
  for i in 0 1; do move_broker $to $i; done
done
note end
rc=0
wait $client || rc=$?
grep -vE '^(RocketMQLog:WARN|Note:|steady)' "$dir/client.out" || true
for i in 0 1; do stop_server "$dir/${names[$i]}"; stop_server "$dir/ns$i"; done
[ $rc -eq 0 ] || fail "the client found faults"
echo "moving: 1 passed, 0 failed"
