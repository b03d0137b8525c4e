#!/usr/bin/env bash
# Every command of RocketMQ 4.7.1's mqadmin: the stock tool on Kerolox, ours on a real RocketMQ, ours on Kerolox; and the
# options of each, letter by letter.
#
#   tests/mqadmin/run.sh [--check] [COMMAND ...]
#
# Without COMMAND the table in docs/mqadmin.md is written anew; with --check it has to be the same already. COMMAND runs
# those alone, and what they need, and leaves the table. PAIRS="stock:reference" judges the cases by the real thing.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
check=
[ "${1:-}" != --check ] || { check=--check; shift; }
here=$ROOT/tests/mqadmin
scratch mqadmin

# Access control is on, for its commands; the white list lets everybody on this machine in.
accounts='globalWhiteRemoteAddresses:
- 127.0.0.1
accounts:
- accessKey: administrator
  secretKey: 12345678
  admin: true
'
cluster() { # KIND NS_PORT BROKER_PORT
  local at=$dir/$1
  mkdir -p "$at/br/conf"
  # RocketMQ looks in its installation folder, Kerolox beside broker.conf first.
  printf '%s' "$accounts" > "$at/br/conf/plain_acl.yml"
  [ "$1" = reference ] || printf '%s' "$accounts" > "$at/br/plain_acl.yml"
  printf '%s\n' aclEnable=true waitTimeMillsInSendQueue=10000 > "$at/extra.conf"
  start_namesrv "$1" "$2" "$at/ns"
  start_broker "$1" "$3" "127.0.0.1:$2" "$at/br" "$at/extra.conf"
}
export RMQ_CLIENT_HOME=$dir/home RMQ_JAVA_OPTS="-Xshare:auto -XX:+UseSerialGC"
mkdir -p "$RMQ_CLIENT_HOME"
cluster kerolox "$NS" "$BROKER"
cluster reference $((NS + 10)) $((BROKER + 20))
# A producer and a consumer on each cluster, until they are ended.
mkdir -p "$dir/members"
spawn "$dir/members" "$RMQ" java "$RMQ_VERSION" "$here/Members.java" "127.0.0.1:$NS" "127.0.0.1:$((NS + 10))"
wait_line "$dir/members" ready 60

"$RMQ" java "$RMQ_VERSION" "$here/StockOptions.java" > "$dir/options.tsv"
"$PYTHON" "$here/drive.py" $check --dir "$dir" --kerolox "127.0.0.1:$NS,127.0.0.1:$BROKER" \
  --reference "127.0.0.1:$((NS + 10)),127.0.0.1:$((BROKER + 20))" "$@"
for kind in kerolox reference; do
  stop_server "$dir/$kind/br"
  stop_server "$dir/$kind/ns"
done
