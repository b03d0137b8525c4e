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
scratch failover
source "$ROOT/tests/failover/cluster.sh"
configure
start_all "$SERVER"
kinds=timers
[ "$SERVER" = kerolox ] || kinds=levels
: > "$dir/third.given"
load $kinds "$dir/third.given"
wait_line "$dir/client" topics 120
program "$dir/third" "$dir/third.given"
disown
wait_line "$dir/client" steady 120
sleep 5
say "a consumer of ordered messages is killed"
note consumer killed "$(now)"
kill_server "$dir/third"
for ((round = 1; round <= rounds; round++)); do
  i=$((round % 2))
  sleep "$before"
  say "round $round: ${names[$i]} and the name server at port ${ns[$i]} are killed"
  note killed "${names[$i]}" "$(now)"
  kill_server "$dir/${names[$i]}"
  kill_server "$dir/ns$i"
  sleep "$away"
  say "round $round: both are started again"
  namesrv "$SERVER" $i
  broker "$SERVER" $i
  note back "${names[$i]}" "$(now)"
  sleep $after
done
judged
