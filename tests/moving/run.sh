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
[ $# -gt 0 ] || set -- over back
scratch moving
source "$ROOT/tests/failover/cluster.sh"
configure waitTimeMillsInSendQueue=5000

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

start_all reference
load levels -
wait_line "$dir/client" steady 120
for way; do
  case $way in
    over) to=kerolox ;;
    back) to=reference ;;
    *) fail "over or back, not $way" ;;
  esac
  for i in 0 1; do move_namesrv $to $i; done
  for i in 0 1; do move_broker $to $i; done
done
judged
echo "moving: 1 passed, 0 failed"
