#!/usr/bin/env bash
# Starts a name server and a broker and lets the shared acceptance kits, with clients of others, judge them.
#
#   [SERVER=kerolox|reference] [TWICE=1] [SLOW_FACTOR=n] tests/kits/run.sh [KIT ...]
#
# KIT is `java:TAGS` (java:basic,order), `mqadmin` (the command line cases of the Java kit with our bin/mqadmin in place of the
# stock one), `go`, `node`, `python`, `rust`, or `acl` (Java against a broker with accounts); `@VERSION` behind `java:TAGS` and
# `acl` stands for another client than 4.7.1 (java:basic,order@5.4.0). Default: what this release has to pass. NS_PORT and
# BROKER_PORT move the servers.
# The kits run from a writable copy; builds and packages are kept in KITS_CACHE (default ~/.cache/kerolox-kits).
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
java=java:basic,order,retry,delay,query,filter,rpc,trace,tx,admin,cli
kits=${*:-$java mqadmin go node python acl $java@5.4.0 acl@5.4.0}
cache=${KITS_CACHE:-$HOME/.cache/kerolox-kits}
scratch kits

# A writable copy that keeps its Java builds (target/), refreshed when the shared one is another.
mkdir -p "$cache"
rsync_kits() {
  local stamp
  stamp=$(cd "$SHARED/conformance" && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -c1-16)
  [ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$cache/kits"
  cp -r "$SHARED/conformance" "$cache/kits"
  chmod -R u+w "$cache/kits"
  echo "$stamp" > "$cache/stamp"
}
rsync_kits

cp "$SHARED/conformance/java/conf/broker.test.conf" "$dir/extra.conf"
start_namesrv "$SERVER" $NS "$dir/ns"
start_broker "$SERVER" $BROKER 127.0.0.1:$NS "$dir/br" "$dir/extra.conf"
export NAMESRV_ADDR=127.0.0.1:$NS
# The real 4.7.1 has faults that some cases allow for with this mark.
[ "$SERVER" = reference ] && export OLD_SERVER=1

# Some cases depend on luck, by faults of the clients that the real brokers meet as well. When nothing else failed, each of
# them is tried again alone, three times at most:
# - ali-ons spreads the messages of a sharding key that falls on queue 0 over all queues (it takes the number 0 for "none"),
#   so a key can seem out of order.
# - A lite pull consumer that was paused still gets what its last pull brings. That waits at the broker; should five sends
#   take less time than the answer to the first, it brings all five, and the case misses the pause. On a loaded machine that
#   was so for 3 pulls of 400, and for 10 of RocketMQ 4.7.1.
# - A lite pull consumer that seeks while the answer to a pull is on its way takes that answer for one to the new place when
#   the next pull has begun already. That was so for 3 seeks of 600, and for 3 of 300 of RocketMQ 5.4.0.
lucky='PullConsumerTest#(litePauseAndResume|liteAssignAndSeek)'
was_bad_luck() { # KIT LOG FAILURES [VERSION]
  local cases='' case again
  case $1 in
    node) cases=$(sed -nE 's/^(sharding_key_keeps_order) FAIL.*/\1/p' "$2") ;;
    java:*) cases=$(sed -nE "s/^FAIL ($lucky) .*/\1/p" "$2") ;;
  esac
  [ "$(wc -w <<<"$cases")" = "$3" ] || return 1
  for case in $cases; do
    again=("$cache/kits/java/run.sh" "$case" ${4:+"$4"})
    [ "$1" != node ] ||
      again=(env ONLY=sharding "CONF_CACHE=${CONF_CACHE:-$HOME/.cache/kerolox-conformance}" "$cache/kits/run.sh" node remoting)
    passes_within_three "${again[@]}" || return 1
  done
}

passes_within_three() {
  local _
  for _ in 1 2 3; do
    "$@" >/dev/null 2>&1 && return 0
  done
  return 1
}

# Servers of its own, seven ports above the others: with accounts nobody else gets in.
acl_kit() { # [VERSION]
  local at=$dir/acl ns=$((NS + 7)) broker=$((BROKER + 7)) conf=$SHARED/conformance/java/conf
  mkdir -p "$at/br/conf"
  # RocketMQ looks in its installation folder, Kerolox beside broker.conf first.
  cp "$conf/plain_acl.yml" "$at/br/conf/plain_acl.yml"
  [ "$SERVER" = reference ] || cp "$conf/plain_acl.yml" "$at/br/plain_acl.yml"
  { cat "$dir/extra.conf"; echo; cat "$conf/broker.acl.conf"; } > "$at/extra.conf"
  start_namesrv "$SERVER" $ns "$at/ns"
  start_broker "$SERVER" $broker 127.0.0.1:$ns "$at/br" "$at/extra.conf"
  ACL=1 NAMESRV_ADDR=127.0.0.1:$ns "$cache/kits/java/run.sh" acl "$@"
  stop_server "$at/br"
  stop_server "$at/ns"
}

skipped=0
one() { # KIT
  local kit=$1 log t0=$SECONDS line tags version
  log=$dir/${kit//[:,#]/-}.log
  say "kit $kit"
  case $kit in
    acl | acl@*)
      version=${kit#acl} version=${version#@}
      acl_kit ${version:+"$version"} 2>&1 | tee "$log" | grep -v '^PASS' || true ;;
    java:*)
      IFS=@ read -r tags version <<<"${kit#java:}"
      "$cache/kits/java/run.sh" "$tags" ${version:+"$version"} 2>&1 | tee "$log" | grep -v '^PASS' || true ;;
    mqadmin) MQADMIN=$ROOT/bin/mqadmin "$cache/kits/java/run.sh" cli 2>&1 | tee "$log" | grep -v '^PASS' || true ;;
    *) CONF_CACHE=${CONF_CACHE:-$HOME/.cache/kerolox-conformance} "$cache/kits/run.sh" "$kit" remoting 2>&1 | tee "$log" | grep -vE ' ok \(' || true ;;
  esac
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
  [ -n "$line" ] || { tail -20 "$log"; line='0 passed, 1 failed, 0 skipped'; }
  read -r p f s <<<"$(tr -dc '0-9 ' <<<"$line")"
  if [ "$f" -gt 0 ] && was_bad_luck "$kit" "$log" "$f" "${version:-}"; then
    p=$((p + f)) f=0 line="$line; what failed passed when run again"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
  report+=("$kit: $line ($((SECONDS - t0)) s)")
}
for _ in 1 ${TWICE:+2}; do
  for kit in $kits; do one "$kit"; done
done
stop_server "$dir/br"
stop_server "$dir/ns"
printf '%s\n' "${report[@]}"
if [ $failed -gt 0 ] && [ "$SERVER" = kerolox ]; then
  say "the broker's last lines"
  tail -50 "$dir/br/out"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
