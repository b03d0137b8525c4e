#!/usr/bin/env bash
# Clients, data and settings as they are out there: runs the scripts of the shared folder cases/field against a name
# server and a broker started through bin/, and those that bring a broker of their own. A part of a script's name runs
# that one alone. The scripts about the data directory (35, 44, 68, 69, 71) belong to the tests of the store.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
NS=${NS_PORT:-21301} BROKER=${BROKER_PORT:-21311}
scratch field
export KEROLOX_BIN=$BIN KEROLOX_RUN_DIR=$dir/run MQADMIN=$ROOT/bin/mqadmin PORT=${OWN_PORT:-21331}
start_namesrv kerolox "$NS" "$dir/ns"
start_broker kerolox "$BROKER" "127.0.0.1:$NS" "$dir/broker"
export NAMESRV_ADDR=127.0.0.1:$NS TMPDIR=$dir

# run_case SCRIPT: its output is the reason when it fails.
run_case() {
  local script=$1 run=("$PYTHON")
  case $script in *.sh) run=(sh) ;; esac
  # Scripts with a broker of their own choose its address themselves.
  if grep -q '^from own import' "$script"; then
    timeout 240 "${run[@]}" "$script"
  else
    BROKER_ADDR=127.0.0.1:$BROKER timeout 120 "${run[@]}" "$script"
  fi
}

for script in "$SHARED"/cases/field/[0-9]*; do
  name=$(basename "$script")
  case $name in 35_* | 44_* | 68_* | 69_* | 71_*) continue ;; esac
  case $name in *"${1:-}"*) judge "$name" run_case "$script" ;; esac
done
printf '%s\n' "${report[@]}"
echo "field: $passed passed, $failed failed"
[ $failed -eq 0 ]
