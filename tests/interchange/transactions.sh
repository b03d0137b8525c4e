#!/usr/bin/env bash
# Half messages that one broker leaves open are ended by the other.
#
#   tests/interchange/transactions.sh [WRITER:READER ...]    default: reference:kerolox kerolox:reference
#
# Each pair runs twice, with a folder that was closed cleanly and with one whose broker was killed with -9. The writer ends
# some half messages, asks for some and leaves many open; the reader ends them, by the place their sender knows or when it
# has asked for them, and gives the rest up (halves.py). Two are left open again for the writer, which gets the folder back.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
pairs=${*:-reference:kerolox kerolox:reference}
scratch transactions
conf() { # FILE TIMEOUT_MS: rounds as the reader wants them; the other settings change while running
  printf '%s\n' flushConsumerOffsetInterval=1000 waitTimeMillsInSendQueue=5000 transactionCheckInterval=2000 \
    "transactionTimeOut=$2" transactionCheckMax=100 > "$dir/$1"
}
conf later.conf 3600000
conf soon.conf 1000
halves() { "$PYTHON" "$ROOT/tests/interchange/halves.py" "$1" 127.0.0.1:$BROKER "${@:2}"; }
broker() { start_broker "$1" $BROKER 127.0.0.1:$NS "$2" "$dir/$3.conf"; }

pair() { # WRITER READER STATE
  local d=$dir/$1-$3
  broker "$1" "$d" later
  halves write "$d.manifest"
  if [ "$3" = killed ]; then kill_server "$d"; else stop_server "$d"; fi
  broker "$2" "$d" later
  halves verify "$d.manifest" "$3" "$2"
  stop_server "$d"
  broker "$1" "$d" soon
  halves return "$d.manifest"
  stop_server "$d"
}

start_namesrv "$SERVER" $NS "$dir/ns"
for names in $pairs; do
  writer=${names%%:*} reader=${names##*:}
  for state in clean killed; do
    say "half messages: $reader ends what $writer left open ($state)"
    judge "$writer -> $reader -> $writer, half messages, $state: ended" pair "$writer" "$reader" "$state"
    [ $rc -eq 0 ] || kill_server "$dir/$writer-$state"
  done
done
verdict transactions
