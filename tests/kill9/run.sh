#!/usr/bin/env bash
# Rounds of kill -9 under load: what was acknowledged is there, in order, once per offset; groups go on where they were;
# delayed messages come; a topic that is deleted and made again holds what was acknowledged since.
#
#   [SERVER=kerolox|reference] tests/kill9/run.sh [ROUNDS] [async|sync|both]        default: 50 both
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
rounds=${1:-50} modes=${2:-both}
[ "$modes" = both ] && modes='async sync'
scratch kill9
# RocketMQ keeps messages that were on their way when their topic was deleted
extra=()
[ "$SERVER" = kerolox ] || extra=(--no-deletions)
start_namesrv "$SERVER" $NS "$dir/ns"
for mode in $modes; do
  say "kill9 $mode: $rounds rounds against $SERVER"
  # small files, so that segments, queue files and index files are rolled under load and cut in recovery
  cat > "$dir/$mode.conf" <<X
flushDiskType=${mode^^}_FLUSH
mappedFileSizeCommitLog=8388608
mappedFileSizeConsumeQueue=60000
maxHashSlotNum=20000
maxIndexNum=80000
waitTimeMillsInSendQueue=5000
flushDelayOffsetInterval=500
flushConsumerOffsetInterval=500
autoCreateTopicEnable=false
X
  judge "$mode, $rounds rounds" "$PYTHON" "$ROOT/tests/kill9/driver.py" --rounds "$rounds" --address 127.0.0.1:$BROKER --dir "$dir/$mode" ${extra[@]+"${extra[@]}"} \
    --start "$ROOT/tests/server.sh start_broker $SERVER $BROKER 127.0.0.1:$NS $dir/$mode $dir/$mode.conf"
  kill_server "$dir/$mode"
  [ $rc -ne 0 ] || [ -n "${KEEP:-}" ] || rm -rf "$dir/$mode"
done
verdict kill9
