# Sourced by the scripts in tests/: finds the shared folder, starts and stops servers, waits for them.
#
# SERVER=kerolox (default) starts ours through bin/, SERVER=reference the real Apache RocketMQ through the shared
# reference/rmq. Each server has a folder of its own: DIR/conf-file, DIR/pid, DIR/out, DIR/store. NS_PORT and BROKER_PORT move
# the servers of a script (NS, BROKER).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SHARED=$(cd "${SHARED:-$ROOT/../shared}" && pwd)
RMQ=$SHARED/reference/rmq
RMQ_VERSION=${RMQ_VERSION:-4.7.1}
SERVER=${SERVER:-kerolox}
PYTHON=${PYTHON:-python3}
BIN=${KEROLOX_BIN:-$ROOT/target/release/kerolox}
NS=${NS_PORT:-19876} BROKER=${BROKER_PORT:-20911}
export SHARED RMQ_HEAP=${RMQ_HEAP:-512m} RMQ_DIRECT=${RMQ_DIRECT:-512m} RMQ_NS_HEAP=${RMQ_NS_HEAP:-128m}
export PYTHONPATH=$ROOT/tests/lib PYTHONDONTWRITEBYTECODE=1

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# scratch NAME: sets `dir` to a new folder. When the script ends, whatever spawn started below it is killed; the folder is kept
# on failure or with KEEP=1, and removed otherwise.
scratch() {
  dir=$(mktemp -d "${TMPDIR:-/tmp}/kerolox-$1.XXXXXX")
  trap 'finish $? "$dir"' EXIT
}
finish() { # STATUS DIR
  local status=$1 dir=$2 pid
  trap - EXIT
  for pid in $(find "$dir" -maxdepth 4 -name pid); do kill_server "$(dirname "$pid")"; done
  if [ "$status" -eq 0 ] && [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "kept: $dir" >&2; fi
  exit "$status"
}

# judge TEXT COMMAND...: counts and reports how COMMAND ended, and leaves its status in `rc`. A subshell, so that one failure
# does not hide what comes after; not for `if` and `||`, where bash would not end COMMAND at the first line that fails.
passed=0 failed=0 report=()
judge() {
  local text=$1 t0=$SECONDS
  shift
  set +e
  (set -e; trap - EXIT; "$@")
  rc=$?
  set -e
  if [ $rc -eq 0 ]; then
    passed=$((passed + 1))
    report+=("$text ($((SECONDS - t0)) s)")
  else
    failed=$((failed + 1))
    report+=("FAILED: $text")
  fi
}
# verdict NAME: the last lines of a script that judges, and its status.
verdict() {
  printf '%s\n' "${report[@]}"
  echo "$1: $passed passed, $failed failed"
  [ $failed -eq 0 ]
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }

# wait_line DIR TEXT [SECONDS]: until DIR/out holds TEXT; fails when the process ends first.
wait_line() {
  local dir=$1 text=$2 left=$((${3:-20} * 50))
  until grep -qF -- "$text" "$dir/out" 2>/dev/null; do
    alive "$(cat "$dir/pid")" || { tail -40 "$dir/out" >&2; fail "what runs in $dir ended before it said '$text'"; }
    [ $((left--)) -gt 0 ] || { tail -40 "$dir/out" >&2; fail "what runs in $dir did not say '$text'"; }
    sleep 0.02
  done
}

# is_kerolox DIR: a kill must meet the server, and not a shell that waits for it.
is_kerolox() {
  [ "$(readlink -f "/proc/$(cat "$1/pid")/exe")" = "$(readlink -f "$BIN")" ] || fail "what started the server of $1 did not become it (exec)"
}

# spawn DIR COMMAND...: in a session of its own, output in DIR/out, process id in DIR/pid (the commands in bin/ exec).
spawn() {
  local dir=$1; shift
  : > "$dir/out"
  ( cd "$dir" && exec setsid "$@" >>"$dir/out" 2>&1 </dev/null ) &
  echo $! > "$dir/pid"
  disown $! 2>/dev/null || true
}

# start_namesrv KIND PORT DIR [EXTRA_CONF]
start_namesrv() {
  local kind=$1 port=$2 dir=$3 extra=${4:-}
  mkdir -p "$dir"
  echo "$kind" > "$dir/kind"
  if [ "$kind" = reference ]; then
    "$RMQ" namesrv "$RMQ_VERSION" "$port" "$dir" ${extra:+"$extra"} >/dev/null
    return
  fi
  {
    printf '%s\n' "listenPort=$port" "kvConfigPath=$dir/kvConfig.json" "configStorePath=$dir/namesrv.properties"
    if [ -n "$extra" ]; then cat "$extra"; fi
  } > "$dir/namesrv.conf"
  spawn "$dir" "$ROOT/bin/mqnamesrv" -c "$dir/namesrv.conf"
  wait_line "$dir" 'The Name Server boot success'
  is_kerolox "$dir"
}

# start_broker KIND PORT NAMESRV DIR [EXTRA_CONF]: the keys that reference/rmq writes, then those of EXTRA_CONF (last one counts).
start_broker() {
  local kind=$1 port=$2 namesrv=$3 dir=$4 extra=${5:-}
  mkdir -p "$dir"
  echo "$kind" > "$dir/kind"
  if [ "$kind" = reference ]; then
    "$RMQ" broker "$RMQ_VERSION" "$port" "$namesrv" "$dir" ${extra:+"$extra"} >/dev/null
    return
  fi
  {
    printf '%s\n' brokerClusterName=DefaultCluster brokerName=broker-a brokerId=0 brokerIP1=127.0.0.1 "listenPort=$port" \
      "namesrvAddr=$namesrv" autoCreateTopicEnable=true "storePathRootDir=$dir/store" "storePathCommitLog=$dir/store/commitlog" \
      deleteWhen=04 fileReservedTime=48 flushDiskType=ASYNC_FLUSH mappedFileSizeCommitLog=104857600 \
      mappedFileSizeConsumeQueue=1200000 maxIndexNum=1000000 maxHashSlotNum=200000 diskMaxUsedSpaceRatio=95
    if [ -n "$extra" ]; then echo; cat "$extra"; fi
  } > "$dir/broker.conf"
  spawn "$dir" "$ROOT/bin/mqbroker" -c "$dir/broker.conf" -n "$namesrv"
  wait_line "$dir" 'boot success'
  is_kerolox "$dir"
}

# start_console NAMESRV PORT DIR [SETTING=VALUE...]
start_console() {
  local namesrv=$1 port=$2 dir=$3 setting more=()
  shift 3
  for setting; do more+=(--set "$setting"); done
  mkdir -p "$dir"
  spawn "$dir" "$BIN" console -n "$namesrv" --set "consolePort=$port" --set "consoleDataDir=$dir/data" ${more[@]+"${more[@]}"}
  wait_line "$dir" 'The console is at'
}

# stop_server DIR: asks what runs there to end, with what that started, and waits; fails when it had to be forced or left the
# abort marker behind.
stop_server() {
  local dir=$1 pid left=1500
  [ -f "$dir/pid" ] || return 0
  pid=$(cat "$dir/pid")
  if alive "$pid"; then
    kill -TERM -- "-$pid"
    while alive "$pid"; do
      [ $((left--)) -gt 0 ] || { kill -KILL -- "-$pid"; rm -f "$dir/pid"; fail "what runs in $dir did not end within 30 s"; }
      sleep 0.02
    done
  fi
  rm -f "$dir/pid"
  [ ! -e "$dir/store/abort" ] || fail "$dir/store/abort is there after a clean stop"
}

# kill_server DIR: kill -9, as a crash would.
kill_server() {
  local dir=$1 pid
  [ -f "$dir/pid" ] || return 0
  pid=$(cat "$dir/pid")
  kill -KILL -- "-$pid" 2>/dev/null || true
  while alive "$pid"; do sleep 0.01; done
  rm -f "$dir/pid"
}
