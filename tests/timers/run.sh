#!/usr/bin/env bash
# Many pending timers: memory, processor time and how exactly a sample is delivered, before and after restarts.
#
#   [NS_PORT=n] [BROKER_PORT=n] tests/timers/run.sh [TIMERS] [SAMPLE]
#
# TIMERS (default 1000000) messages wait for random times from an hour to a year; SAMPLE (default 10000) more, due within
# ten seconds, are measured each time: the store time of the delivered message minus the time that was asked for. The last
# lines are a table in Markdown. Fails when a sample is incomplete, repeated or early, or half of it is later than 100 ms.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
timers=${1:-1000000} sample=${2:-10000}
scratch timers
# The levels of a full disk are those of an operator who knows that there is room for what is sent here.
printf "%s\n" timerMaxDelaySec=31622400 fileReservedTime=72 diskSpaceWarningLevelRatio=98 diskSpaceCleanForciblyRatio=97 > "$dir/extra.conf"

start_namesrv kerolox $NS "$dir/ns"
table=()
measure() { # WHEN [EXTRA]
  say "$1"
  line=$("$PYTHON" "$ROOT/tests/timers/driver.py" sample 127.0.0.1:$BROKER "$(cat "$dir/br/pid")" "$sample")
  table+=("| $1 | $line | ${2:-} |")
}
restart() { # sets `took`: ms from the command to the success line
  local t0
  t0=$(date +%s%3N)
  start_broker kerolox $BROKER 127.0.0.1:$NS "$dir/br" "$dir/extra.conf"
  took=$(($(date +%s%3N) - t0))
}
restart
measure "nothing pending" "$took"
say "$timers timers"
"$PYTHON" "$ROOT/tests/timers/driver.py" fill 127.0.0.1:$BROKER "$timers"
sleep 5
measure "$timers pending"
stop_server "$dir/br"
restart
measure "after a stop and a start" "$took"
kill_server "$dir/br"
restart
measure "after a kill and a start" "$took"
du -sh "$dir/br/store/timer" | cut -f1 | sed 's/^/folder timer: /'
echo "| | p50 ms | p99 ms | max ms | RssAnon MiB | Rss MiB | CPU idle % | CPU sample % | pending | start ms |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
printf '%s\n' "${table[@]}"
