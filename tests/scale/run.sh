#!/usr/bin/env bash
# How quick the console is with many topics and groups, and what it costs while nobody looks.
#
#   tests/scale/run.sh [TOPICS [GROUPS]]        10000 and 2000 by default; NS_PORT, BROKER_PORT, CONSOLE_PORT, METRICS_PORT
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TOPICS=${1:-10000} GROUPS_=${2:-2000}
CONSOLE_PORT=${CONSOLE_PORT:-18080} METRICS_PORT=${METRICS_PORT:-18557}
scratch scale
mkdir -p "$dir/broker/store/config"
"$PYTHON" "$ROOT/tests/scale/driver.py" prepare "$dir/broker/store/config" "$TOPICS" "$GROUPS_"
printf 'metricsPort=%s\n' "$METRICS_PORT" >"$dir/more.conf"
start_namesrv kerolox "$NS" "$dir/ns"
start_broker kerolox "$BROKER" "127.0.0.1:$NS" "$dir/broker" "$dir/more.conf"
start_console "127.0.0.1:$NS" "$CONSOLE_PORT" "$dir/console" consolePassword=walk-the-console
"$PYTHON" "$ROOT/tests/scale/driver.py" measure "$BROKER" "$CONSOLE_PORT" "$METRICS_PORT" "$(cat "$dir/console/pid")"
