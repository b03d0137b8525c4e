#!/usr/bin/env bash
# A store folder written by one broker is opened by the other: every message, key, offset and group is compared.
#
#   tests/interchange/run.sh [WRITER:READER ...]    default: reference:kerolox kerolox:reference
#
# Each pair runs twice, with a folder that was closed cleanly and with one whose broker was killed with -9 under load.
# The writer's content (more than 10,000 messages: single, in batches, keyed, tagged, compressed, delayed, retried, dead
# letters, committed offsets) is noted in a manifest by the stock Java client; the reader serves it to the same client. Then
# the folder goes back to its writer, which must still find every record, byte for byte.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
pairs=${*:-reference:kerolox kerolox:reference}
scratch interchange
# small files: the log, the queues and the index are rolled several times
cat > "$dir/extra.conf" <<X
mappedFileSizeCommitLog=2097152
maxMessageSize=65536
mappedFileSizeConsumeQueue=20000
maxHashSlotNum=5000
maxIndexNum=20000
flushConsumerOffsetInterval=1000
waitTimeMillsInSendQueue=5000
X
client() { "$RMQ" java "$RMQ_VERSION" "$ROOT/tests/interchange/Interchange.java" "$@" 2>&1 | grep -vE '^(RocketMQLog:WARN|Note:)'; }
dump() { "$PYTHON" "$ROOT/tests/interchange/dump.py" "$1" 127.0.0.1:$BROKER "$2"; }
broker() { start_broker "$1" $BROKER 127.0.0.1:$NS "$2" "$dir/extra.conf"; }

write() { # WRITER: leaves DIR/WRITER-clean and DIR/WRITER-killed, each with its manifest and dump beside it
  local writer=$1 w=$dir/$1-killed c=$dir/$1-clean left=100
  broker "$writer" "$w"
  client write 127.0.0.1:$NS 127.0.0.1:$BROKER "$w.manifest" 1
  dump save "$w.dump"
  stop_server "$w"
  mkdir -p "$c"
  cp -a "$w/store" "$c/store"
  cp "$w.manifest" "$c.manifest"
  cp "$w.dump" "$c.dump"
  broker "$writer" "$w"
  client write 127.0.0.1:$NS 127.0.0.1:$BROKER "$w.manifest" 2
  dump save "$w.dump"
  # offsets are written to their file every second or so; a kill before that may lose them
  until grep -q '3:203' "$w/store/config/consumerOffset.json" || grep -q '"3":203' "$w/store/config/consumerOffset.json"; do
    [ $((left--)) -gt 0 ] || fail "committed offsets were not written to their file within 20 s"
    sleep 0.2
  done
  "$PYTHON" "$ROOT/tests/interchange/burst.py" 127.0.0.1:$BROKER "$(cat "$w/pid")" "$w.manifest" 3000
  kill_server "$w"
  [ -e "$w/store/abort" ] || fail "no abort marker in a killed folder"
}

read_back() { # READER WRITER STATE
  local reader=$1 writer=$2 state=$3 d=$dir/$2-$3
  broker "$reader" "$d"
  dump compare "$d.dump"
  client verify 127.0.0.1:$NS 127.0.0.1:$BROKER "$d.manifest" "$state"
  dump save "$d.dump2"
  stop_server "$d"
  broker "$writer" "$d"
  dump compare "$d.dump2"
  stop_server "$d"
}

start_namesrv "$SERVER" $NS "$dir/ns"
for pair in $pairs; do
  writer=${pair%%:*} reader=${pair##*:}
  say "interchange: $writer writes"
  judge "$writer writes" write "$writer"
  [ $rc -eq 0 ] || { kill_server "$dir/$writer-killed"; continue; }
  for state in clean killed; do
    say "interchange: $reader opens what $writer left ($state)"
    judge "$writer -> $reader -> $writer, $state: same" read_back "$reader" "$writer" "$state"
    [ $rc -eq 0 ] || kill_server "$dir/$writer-$state"
  done
done
verdict interchange
