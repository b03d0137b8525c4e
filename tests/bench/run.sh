#!/usr/bin/env bash
# Measures Kerolox beside the real RocketMQ 4.7.1 and the null broker, in one run, with the shared load generator, and
# prints the table of docs/performance.md. Run it on a quiet machine; nothing here passes or fails by time.
#
#   [SECS=8] [WARM_REFERENCE=20] tests/bench/run.sh [SECTION ...]     sections: async sync pull start
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
sections=${*:-start async sync pull}
SECS=${SECS:-8} WARM=${WARM_REFERENCE:-20}
cache=${BENCH_CACHE:-$HOME/.cache/kerolox-bench}
scratch bench
mkdir -p "$cache"
[ -d "$cache/mqload" ] || { cp -r "$SHARED/bench/mqload" "$cache/mqload"; chmod -R u+w "$cache/mqload"; }
(cd "$cache/mqload" && CARGO_TARGET_DIR=$cache/target cargo build -q --release)
MQLOAD=$cache/target/release/mqload

# row LABEL FILE: the figures of one run
row() {
  "$PYTHON" - "$1" "$2" <<'PY'
import json, sys
label, path = sys.argv[1:]
d = json.load(open(path))
if isinstance(d, list):
    d = d[-1]
s = d.get('send')
if s:
    rate, p50, p99 = s['msgs_per_s'], s['latency_us']['p50'], s['latency_us']['p99']
else:
    rate, p50, p99 = d['consume']['msgs_per_s'], d['consume']['pull_rtt_us']['p50'], d['consume']['pull_rtt_us']['p99']
cpu = d.get('server_cpu_s_per_million')
other = d['machine']['other_processes_cores']
mem = d['processes'][0]['memory']['RssAnon_kb'] / 1024 if d.get('processes') else 0
print(f'| {label} | {rate:,.0f} | {cpu:.2f} | {p50 / 1000:.3f} | {p99 / 1000:.2f} | {mem:.0f} | {other:.2f} |')
PY
}
head_of() { printf '\n%s\n\n| server | msg/s | CPU s per million | p50 ms | p99 ms | anonymous MiB | other load, cores |\n| --- | --- | --- | --- | --- | --- | --- |\n' "$1"; }

# No server pays for the one before it: what that wrote is on the disk, and its pages are free (where this user may say so).
settle() {
  command sync -f "$dir"
  { echo 1 > /proc/sys/vm/drop_caches; } 2>/dev/null || true
}

# send LABEL NAMESRV PID SIZE CONNS INFLIGHT WARMUP
send() {
  settle
  "$MQLOAD" send --namesrv "$2" --topic Bench --size "$4" --conns "$5" --inflight "$6" --secs "$SECS" --warmup "$7" --pid "$3" > "$dir/run.json"
  row "$1" "$dir/run.json"
}

up() { # KIND PORT_NS PORT_BROKER DIR [CONF]
  start_namesrv "$1" "$2" "$4/ns"
  RMQ_COMMITLOG_FILE=1073741824 start_broker "$1" "$3" "127.0.0.1:$2" "$4/br" "${5:-}"
  "$MQLOAD" topic --namesrv "127.0.0.1:$2" --topic Bench --queues 8 --create >/dev/null
}
down() { stop_server "$1/br"; stop_server "$1/ns"; }

# The null broker has no name server: ours routes to it.
null_up() { # EXTRA...
  "$MQLOAD" null-broker --port 22911 "$@" 2>"$dir/null.out" >/dev/null &
  null=$!
  until port_open 22911; do sleep 0.1; done
}
null_send() { # LABEL SIZE
  settle
  "$MQLOAD" send --broker 127.0.0.1:22911 --topic Bench --queues 8 --size "$2" --conns 16 --inflight 16 --secs "$SECS" --warmup 2 --pid "$null" > "$dir/run.json"
  row "$1" "$dir/run.json"
}
null_down() { kill "$null"; wait "$null" 2>/dev/null || true; rm -f "$dir"/null.[0-9]*; }

printf 'mappedFileSizeCommitLog=1073741824\nmaxIndexNum=20000000\nmaxHashSlotNum=5000000\n' > "$dir/async.conf"
cp "$dir/async.conf" "$dir/sync.conf"
echo flushDiskType=SYNC_FLUSH >> "$dir/sync.conf"

async() {
  up kerolox 22876 21911 "$dir/k" "$dir/async.conf"
  up reference 23876 23911 "$dir/r" "$dir/async.conf"
  local k r size
  k=$(cat "$dir/k/br/pid") r=$(cat "$dir/r/br/pid")
  "$MQLOAD" send --namesrv 127.0.0.1:23876 --topic Bench --size 128 --conns 16 --inflight 16 --secs "$WARM" --warmup 0 >/dev/null
  for size in 128 1024; do
    head_of "Send, asynchronous flush, 16 connections × 16 in flight, $size B"
    null_up --append "$dir/null"; null_send 'null broker, append' $size; null_down
    send 'RocketMQ 4.7.1' 127.0.0.1:23876 "$r" $size 16 16 3
    send 'Kerolox' 127.0.0.1:22876 "$k" $size 16 16 3
  done
  head_of 'Send, one connection × one in flight, 128 B'
  send 'RocketMQ 4.7.1' 127.0.0.1:23876 "$r" 128 1 1 3
  send 'Kerolox' 127.0.0.1:22876 "$k" 128 1 1 3
  down "$dir/k"; down "$dir/r"; rm -rf "$dir/k" "$dir/r"
}

sync() {
  up kerolox 22876 21911 "$dir/ks" "$dir/sync.conf"
  up reference 23876 23911 "$dir/rs" "$dir/sync.conf"
  "$MQLOAD" send --namesrv 127.0.0.1:23876 --topic Bench --size 1024 --conns 16 --inflight 16 --secs "$WARM" --warmup 0 >/dev/null
  head_of 'Send, synchronous flush, 16 × 16, 1024 B'
  null_up --append "$dir/null" --sync; null_send 'null broker, append and sync' 1024; null_down
  send 'RocketMQ 4.7.1' 127.0.0.1:23876 "$(cat "$dir/rs/br/pid")" 1024 16 16 3
  send 'Kerolox' 127.0.0.1:22876 "$(cat "$dir/ks/br/pid")" 1024 16 16 3
  down "$dir/ks"; down "$dir/rs"; rm -rf "$dir/ks" "$dir/rs"
}

drain() { # LABEL NAMESRV PID
  "$MQLOAD" send --namesrv "$2" --topic Drain --size 128 --conns 8 --inflight 16 --count 1000000 --secs 120 --warmup 0 > "$dir/fill.json"
  local n
  n=$("$PYTHON" -c 'import json,sys; print(json.load(open(sys.argv[1]))["send"]["acked_with_warmup"])' "$dir/fill.json")
  "$MQLOAD" pull --namesrv "$2" --topic Drain --expect "$n" --passes 4 --pid "$3" > "$dir/run.json" || true
  row "$1" "$dir/run.json"
}
pull() {
  up kerolox 22876 21911 "$dir/kp" "$dir/async.conf"
  up reference 23876 23911 "$dir/rp" "$dir/async.conf"
  for p in 22876 23876; do "$MQLOAD" topic --namesrv 127.0.0.1:$p --topic Drain --queues 8 --create >/dev/null; done
  head_of 'Pull drain, 128 B, last of 4 passes'
  drain 'RocketMQ 4.7.1' 127.0.0.1:23876 "$(cat "$dir/rp/br/pid")"
  drain 'Kerolox' 127.0.0.1:22876 "$(cat "$dir/kp/br/pid")"
  down "$dir/kp"; down "$dir/rp"; rm -rf "$dir/kp" "$dir/rp"
}

start() {
  printf '\nStart and idle, standalone on an empty folder\n\n'
  "$PYTHON" "$ROOT/tests/bench/start.py" "$BIN" "$dir/standalone"
}

for section in $sections; do $section; done
