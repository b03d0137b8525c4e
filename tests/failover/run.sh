#!/usr/bin/env bash
# Two brokers and two name servers under a steady load of ordered, delayed and transactional messages, of which one each is
# killed with -9 and started again, and of whose consumers one is killed for good: nothing acknowledged is lost, order is kept,
# transactions end as decided.
#
#   [SERVER=kerolox|reference] tests/failover/run.sh [ROUNDS] [SECONDS_AWAY]        default: 1 40
#
# The load is the stock Java client's with its default settings (Failover.java judges and reports). Each round kills a broker
# and a name server at the same moment, in turn the second and the first of each. With SERVER=reference messages with a time
# of their own, which 4.7.1 does not know, are left out.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
rounds=${1:-1} away=${2:-40} before=5 after=40
NS=${NS_PORT:-19876} BROKER=${BROKER_PORT:-20911}
dir=$(temp_dir failover)
clients() { local pid; for pid in ${client:-} ${third:-}; do kill -KILL -- "-$pid" 2>/dev/null || true; done; }
trap 'rc=$?; clients; finish $rc "$dir"' EXIT
names=(broker-a broker-b) ns=($NS $((NS + 1))) ports=($BROKER $((BROKER + 10)))
servers="127.0.0.1:${ns[0]};127.0.0.1:${ns[1]}"
for name in "${names[@]}"; do
  # questions soon, and enough of them for a producer that comes back late: its heartbeat is every 30 seconds
  printf '%s\n' brokerName="$name" transactionTimeOut=3000 transactionCheckInterval=3000 transactionCheckMax=30 \
    autoCreateTopicEnable=false > "$dir/$name.conf"
done

# without it routes do not carry the order configuration
echo orderMessageEnable=true > "$dir/namesrv.conf"

namesrv() { start_namesrv "$SERVER" "${ns[$1]}" "$dir/ns$1" "$dir/namesrv.conf"; }
broker() { start_broker "$SERVER" "${ports[$1]}" "$servers" "$dir/${names[$1]}" "$dir/${names[$1]}.conf"; }
note() { echo "$*" >> "$dir/events"; }
now() { date +%s%3N; }

for i in 0 1; do namesrv $i; done
for i in 0 1; do broker $i; done
kinds=timers
[ "$SERVER" = kerolox ] || kinds=levels
mkdir -p "$dir/client"
: > "$dir/events"
: > "$dir/client.out"
: > "$dir/third"
failover() { RMQ_CLIENT_HOME=$dir/client exec setsid "$RMQ" java "$RMQ_VERSION" "$ROOT/tests/failover/Failover.java" "$servers" "$@"; }
failover "$dir/events" $kinds "$dir/third" "${names[0]}=127.0.0.1:${ports[0]}" "${names[1]}=127.0.0.1:${ports[1]}" > "$dir/client.out" 2>&1 &
client=$!
said() { # WORD
  until grep -q "^$1" "$dir/client.out"; do
    alive $client || { tail -40 "$dir/client.out"; fail "the client ended before it said '$1'"; }
    sleep 0.1
  done
}
said topics
failover "$dir/third" > "$dir/third.out" 2>&1 &
third=$!
disown "$third"
said steady
sleep 5
say "a consumer of ordered messages is killed"
note consumer killed "$(now)"
kill -KILL -- "-$third"
for ((round = 1; round <= rounds; round++)); do
  i=$((round % 2))
  sleep "$before"
  say "round $round: ${names[$i]} and the name server at port ${ns[$i]} are killed"
  note killed "${names[$i]}" "$(now)"
  kill_server "$dir/${names[$i]}"
  kill_server "$dir/ns$i"
  sleep "$away"
  say "round $round: both are started again"
  namesrv $i
  broker $i
  note back "${names[$i]}" "$(now)"
  sleep $after
done
note end
rc=0
wait $client || rc=$?
grep -vE '^(RocketMQLog:WARN|Note:|topics|steady)' "$dir/client.out" || true
for i in 0 1; do stop_server "$dir/${names[$i]}"; stop_server "$dir/ns$i"; done
[ $rc -eq 0 ] || fail "the client found faults"
