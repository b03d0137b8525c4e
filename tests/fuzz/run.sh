#!/usr/bin/env bash
# Fuzzes every decoder, guided by coverage; see docs/fuzzing.md.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET ...]        default: 300 s in all, shared evenly by all targets; 0: known inputs alone
#
# KEROLOX_FUZZ_SECONDS is another default, for runs of hours. Needs a C++ compiler. What a run finds goes to fuzz/target/corpus
# and is used by the next one; fuzz/corpus is never changed.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CARGO=${CARGO:-cargo}
seconds=${1:-${KEROLOX_FUZZ_SECONDS:-300}}
[ $# -eq 0 ] || shift

# Counters at every edge and comparison are a pass of the stable compiler; with a --target build scripts go without them.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
(cd "$ROOT/fuzz" && RUSTFLAGS="--cfg fuzzing $coverage" "$CARGO" build -q --release --locked --target "$host" --target-dir target)
BIN=$ROOT/fuzz/target/$host/release
FOUND=$ROOT/fuzz/target/corpus CRASHES=$ROOT/fuzz/target/crashes LOGS=$ROOT/fuzz/target/logs
mkdir -p "$FOUND" "$CRASHES" "$LOGS"

fuzz() { # TARGET ARGUMENT...
  "$BIN/$1" -rss_limit_mb=2048 -timeout=20 -max_len=4096 "${@:2}"
}
known() { (cd "$ROOT/fuzz/src/bin" && for file in *.rs; do echo "${file%.rs}"; done); }

# number TARGET NAME: the last value of a figure in a target's log.
number() { sed -n "s/.*$2[:=]* *\([0-9][0-9]*\).*/\1/p" "$LOGS/$1" | tail -1; }

run() { # TARGET SECONDS
  local target=$1 time=(-runs=0)
  [ "$2" -eq 0 ] || time=("-max_total_time=$2")
  mkdir -p "$FOUND/$target" "$ROOT/fuzz/corpus/$target"
  fuzz "$target" "${time[@]}" -dict="$ROOT/fuzz/dictionary" -artifact_prefix="$CRASHES/$target-" -print_final_stats=1 \
    "$FOUND/$target" "$ROOT/fuzz/corpus/$target" >"$LOGS/$target" 2>&1
}

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(known)
each=$((seconds / ${#targets[@]}))
[ "$seconds" -eq 0 ] || [ "$each" -gt 0 ] || each=1
passed=0 failed=0
for target in "${targets[@]}"; do
  [ -f "$ROOT/fuzz/src/bin/$target.rs" ] || { echo "no target $target; there are:" && known; exit 2; }
  status=0
  run "$target" "$each" || status=$?
  executions=$(number "$target" number_of_executed_units)
  printf '%-18s %12s executions, coverage %6s\n' "$target" "${executions:-no}" "$(number "$target" cov)"
  if [ $status -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    grep -E 'panicked at|^ERROR: libFuzzer|^==[0-9]+== ERROR|Test unit written' -A1 "$LOGS/$target" | sed 's/^/    /' || tail -20 "$LOGS/$target"
    echo "    again: ${BIN#"$ROOT"/}/$target FILE"
  fi
done
echo "fuzz: $passed passed, $failed failed"
[ $failed -eq 0 ]
