#!/usr/bin/env bash
# The handed-over cases of lost, skipped and late messages, one verdict each.
#
#   tests/cases/run.sh [CASE ...]      default: all of them, such as l1 or 44
#
# The scripts stand in the shared folder (cases/data-path, cases/field) and are run as they are. Those of `field` say
# themselves whether they are right; what the others print is judged by judge.py, which has the bounds. They use the fixed
# ports 21010 and 21231 and, for l8, the fixed folder /tmp/data-path, so that only one run at a time is possible.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
here=$ROOT/tests/cases
all=(35 44 68 69 71 l1 l3b l4b l8 l12 l13 l16)
# pipelined pulls of 4 MiB each, messages with 6,500 keys each, deletions under load
declare -A arguments=([l1]=200 [l3b]=640 [l4b]=25000)
[ "$SERVER" = kerolox ] || fail "the scripts start Kerolox only"
scratch cases
exec 8>"${TMPDIR:-/tmp}/kerolox-cases.lock"
flock -n 8 || fail "the cases are running already"
KEROLOX_BIN=$(readlink -f "$BIN")
export KEROLOX_BIN

field_case() { # NUMBER
  local script
  script=$(find "$SHARED/cases/field" -name "${1}_*.py")
  (cd "$SHARED/cases/field" && TMPDIR=$dir timeout -k 5 120 "$PYTHON" "$script" 2>&1) | tail -1 | cut -c1-400 | tee "$dir/$1.out"
  grep -q '^ok' "$dir/$1.out"
}

data_path_case() { # NAME
  local scratch=$dir/data-path out=$dir/$1.out
  if [ "$1" = l8 ]; then
    scratch=/tmp/data-path
    mkdir -p $scratch
    "${CC:-cc}" -shared -fPIC -o $scratch/slow.so "$SHARED/cases/data-path/slow.c" -ldl
  fi
  rm -rf "${scratch:?}/$1"
  mkdir -p "$scratch"
  (cd "$SHARED/cases/data-path" && SCRATCH=$scratch timeout -k 5 240 "$PYTHON" "$1.py" ${arguments[$1]:-}) >"$out" 2>&1 || true
  rm -rf "${scratch:?}/$1"
  "$PYTHON" "$here/judge.py" "$1" "$out"
}

for name in "${@:-${all[@]}}"; do
  case $name in
    l*) judge "$name" data_path_case "$name" ;;
    *) judge "$name" field_case "$name" ;;
  esac
done
verdict cases
