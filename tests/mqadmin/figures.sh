#!/usr/bin/env bash
# The figures that admin tools read, of RocketMQ 4.7.1 and Kerolox under the same load at the same time, side by side.
#
#   tests/mqadmin/figures.sh [SECONDS]     (default 100; windows of a minute are empty before 70)
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
scratch figures
start_namesrv kerolox "$NS" "$dir/kns"
start_broker kerolox "$BROKER" "127.0.0.1:$NS" "$dir/kbr"
start_namesrv reference $((NS + 10)) "$dir/rns"
start_broker reference $((BROKER + 20)) "127.0.0.1:$((NS + 10))" "$dir/rbr"
"$PYTHON" "$ROOT/tests/mqadmin/figures.py" "${1:-100}" "127.0.0.1:$((BROKER + 20))" "127.0.0.1:$BROKER"
for at in kbr kns rbr rns; do stop_server "$dir/$at"; done
