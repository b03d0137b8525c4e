#!/usr/bin/env bash
# Power losses under load: what was acknowledged is there after the start, at its offset, once; groups, delayed messages and a
# topic that is made again too.
#
#   tests/powerloss/run.sh [ROUNDS] [sync|async|both] [SCENARIO ...]        default: 90 both, all scenarios of driver.py
#
# Everything that was not synced is gone afterwards, or (torn) a part of it. A library that is loaded into the broker
# (shim.c) keeps what a power loss would leave, so that this needs neither root nor a device of its own. DISK=ext4 or DISK=xfs
# plays them on a file system of the running kernel on a loop device instead, without failed syncs; root is needed for that.
# A full run also plants faults, syncs that are answered but not carried out, each of which has to be caught.
# SEED=N plays a history again: with one scenario, one mode and the rounds it had.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
rounds=${1:-90} modes=${2:-both}
shift $(($# < 2 ? $# : 2))
DISK=${DISK:-shadow}
here=$ROOT/tests/powerloss
[ "$SERVER" = kerolox ] || fail "only Kerolox is played here"
[ "$modes" = both ] && modes='sync async'
scenarios=("$@")
planted=no
if [ ${#scenarios[@]} -eq 0 ]; then
  scenarios=(power torn kill-then-power stop-then-power new-folder deletions mixed)
  [ "$DISK" != shadow ] || { scenarios+=(failed-sync failed-side-sync); planted=yes; }
fi
each=$(((rounds + ${#scenarios[@]} - 1) / ${#scenarios[@]}))
scratch powerloss
if [ "$DISK" = shadow ]; then
  "${CC:-cc}" -O2 -Wall -Wextra -Werror -shared -fPIC -o "$dir/shim.so" "$here/shim.c" -lpthread
  "$PYTHON" "$here/selftest.py" "$dir/shim.so"
fi
start_namesrv kerolox $NS "$dir/ns"

play() { # MODE SCENARIO ROUNDS FOLDER
  mkdir -p "$4"
  "$PYTHON" "$here/driver.py" --mode "$1" --scenario "$2" --rounds "$3" --address 127.0.0.1:$BROKER --dir "$4" \
    --disk "$DISK" --shim "$dir/shim.so" ${SEED:+--seed "$SEED"} \
    --start "$ROOT/tests/server.sh start_broker kerolox $BROKER 127.0.0.1:$NS"
}
caught() { # SYNCS: a broker that leaves them out has to be found out
  if POWERLOSS_IGNORE=$1 play sync planted 1 "$dir/planted" >"$dir/planted.out"; then
    cat "$dir/planted.out"
    return 1
  fi
  grep ': seed' "$dir/planted.out"
  rm -rf "$dir/planted"
}

for mode in $modes; do
  for scenario in "${scenarios[@]}"; do
    judge "$mode $scenario, $each rounds" play "$mode" "$scenario" $each "$dir/$mode"
  done
done
if [ $planted = yes ]; then
  for syncs in f:/data/store/commitlog/ d:/data/store/commitlog/ f:/data/store/config/ d:; do
    judge "planted: syncs of $syncs are left out" caught $syncs
  done
fi
verdict powerloss
