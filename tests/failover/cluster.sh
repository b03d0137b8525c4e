# Sourced by failover/run.sh and moving/run.sh after `scratch`: two brokers and two name servers, each alone on its data, under the
# load of Failover.java, which judges what became of it. `events` says what is done to the servers and when, for the judge.
names=(broker-a broker-b) ns=($NS $((NS + 1))) ports=($BROKER $((BROKER + 10)))
servers="127.0.0.1:${ns[0]};127.0.0.1:${ns[1]}"

# configure [SETTING=VALUE...]: for both brokers.
configure() {
  local name
  for name in "${names[@]}"; do
    # questions soon, and enough of them for a producer that comes back late: its heartbeat is every 30 seconds
    printf '%s\n' brokerName="$name" transactionTimeOut=3000 transactionCheckInterval=3000 transactionCheckMax=30 \
      autoCreateTopicEnable=false "$@" > "$dir/$name.conf"
  done
  # without it routes do not carry the order configuration
  echo orderMessageEnable=true > "$dir/namesrv.conf"
}

namesrv() { start_namesrv "$1" "${ns[$2]}" "$dir/ns$2" "$dir/namesrv.conf"; } # KIND INDEX
broker() { start_broker "$1" "${ports[$2]}" "$servers" "$dir/${names[$2]}" "$dir/${names[$2]}.conf"; } # KIND INDEX
start_all() { # KIND
  local i
  for i in 0 1; do namesrv "$1" $i; done
  for i in 0 1; do broker "$1" $i; done
}
note() { echo "$*" >> "$dir/events"; }
now() { date +%s%3N; }

# program DIR ARGS...: Failover.java; as spawn does it, but a child whose status can be waited for.
program() {
  local at=$1
  shift
  mkdir -p "$at"
  ( RMQ_CLIENT_HOME=$dir/client exec setsid "$RMQ" java "$RMQ_VERSION" "$ROOT/tests/failover/Failover.java" "$servers" "$@" ) > "$at/out" 2>&1 &
  echo $! > "$at/pid"
}
# load timers|levels THIRD|-: starts the load (see Failover.java).
load() {
  : > "$dir/events"
  program "$dir/client" "$dir/events" "$1" "$2" "${names[0]}=127.0.0.1:${ports[0]}" "${names[1]}=127.0.0.1:${ports[1]}"
  client=$!
}
# judged: ends the load, prints what it found, stops the servers; fails when it found faults.
judged() {
  local rc=0 i
  note end
  wait "$client" || rc=$?
  grep -vE '^(RocketMQLog:WARN|Note:|topics|steady)' "$dir/client/out" || true
  for i in 0 1; do stop_server "$dir/${names[$i]}"; stop_server "$dir/ns$i"; done
  [ $rc -eq 0 ] || fail "the client found faults"
}
