#!/usr/bin/env bash
# How quick the console is with many topics and groups, and what it costs while nobody looks.
#
#   tests/scale/run.sh [TOPICS [GROUPS]]        10000 and 2000 by default; NS_PORT, BROKER_PORT, CONSOLE_PORT, METRICS_PORT
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TOPICS=${1:-10000} GROUPS_=${2:-2000}
NS_PORT=${NS_PORT:-19876} BROKER_PORT=${BROKER_PORT:-20911} CONSOLE_PORT=${CONSOLE_PORT:-18080} METRICS_PORT=${METRICS_PORT:-18557}
export KEROLOX_BIN=${KEROLOX_BIN:-$ROOT/target/release/kerolox}
DIR=$(temp_dir scale)
trap 'finish $? "$DIR"' EXIT
mkdir -p "$DIR/broker/store/config" "$DIR/console"
"$PYTHON" "$ROOT/tests/scale/driver.py" prepare "$DIR/broker/store/config" "$TOPICS" "$GROUPS_"
printf 'metricsPort=%s\n' "$METRICS_PORT" >"$DIR/more.conf"
start_namesrv kerolox "$NS_PORT" "$DIR/ns"
start_broker kerolox "$BROKER_PORT" "127.0.0.1:$NS_PORT" "$DIR/broker" "$DIR/more.conf"
spawn "$DIR/console" "$KEROLOX_BIN" console -n "127.0.0.1:$NS_PORT" --set "consolePort=$CONSOLE_PORT" \
  --set consolePassword=walk-the-console --set "consoleDataDir=$DIR/console/data"
wait_line "$DIR/console" 'The console is at'
"$PYTHON" "$ROOT/tests/scale/driver.py" measure "$BROKER_PORT" "$CONSOLE_PORT" "$METRICS_PORT" "$(cat "$DIR/console/pid")"
