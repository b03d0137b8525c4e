#!/usr/bin/env bash
# Walks through the web console in Chromium, against live servers with a stock Java consumer at work.
#
#   tests/console/run.sh                 our servers; SERVER=reference: the real RocketMQ 4.7.1 behind our console
#
# Needs chromium (CHROMIUM=PATH), node, npm and java. SHOTS names the folder of the screenshots (default target/console);
# NS_PORT, BROKER_PORT and CONSOLE_PORT the ports.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
NS_PORT=${NS_PORT:-19876} BROKER_PORT=${BROKER_PORT:-20911} CONSOLE_PORT=${CONSOLE_PORT:-18080}
BIN=${KEROLOX_BIN:-$ROOT/target/release/kerolox}
SHOTS=${SHOTS:-$ROOT/target/console/$SERVER}
CACHE=${CONSOLE_CACHE:-$HOME/.cache/kerolox-console}
CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
[ -x "$CHROMIUM" ] || fail "no chromium; install it or set CHROMIUM"
export CHROMIUM
DIR=$(temp_dir console)
trap 'finish $? "$DIR"' EXIT

mkdir -p "$CACHE" "$SHOTS"
cp "$ROOT/tests/console/package.json" "$ROOT"/tests/console/*.mjs "$CACHE/"
(cd "$CACHE" && npm install --silent --no-audit --no-fund --no-package-lock >/dev/null)

start_namesrv "$SERVER" "$NS_PORT" "$DIR/ns"
echo traceTopicEnable=true >"$DIR/more.conf"
start_broker "$SERVER" "$BROKER_PORT" "127.0.0.1:$NS_PORT" "$DIR/broker" "$DIR/more.conf"
mkdir -p "$DIR/console"
spawn "$DIR/console" "$BIN" console -n "127.0.0.1:$NS_PORT" --set "consolePort=$CONSOLE_PORT" \
  --set consolePassword=walk-the-console --set "consoleDataDir=$DIR/console/data"
wait_line "$DIR/console" 'The console is at'

"$BIN" admin updateTopic -n "127.0.0.1:$NS_PORT" -c DefaultCluster -t orders -r 4 -w 4 >/dev/null
"$BIN" admin updateTopic -n "127.0.0.1:$NS_PORT" -c DefaultCluster -t walk-traffic -r 2 -w 2 >/dev/null
"$RMQ" java "$RMQ_VERSION" "$ROOT/tests/console/Traffic.java" "127.0.0.1:$NS_PORT" >"$DIR/traffic.out" 2>&1 || { tail "$DIR/traffic.out"; fail "no traffic"; }
TRACED=$(sed -n 's/^traced //p' "$DIR/traffic.out")
# sends, then consumes until it is ended
mkdir -p "$DIR/consumer"
"$RMQ" quickstart "$RMQ_VERSION" produce "127.0.0.1:$NS_PORT" orders 300 >"$DIR/produce.out" 2>&1 || { tail "$DIR/produce.out"; fail "nothing was sent"; }
spawn "$DIR/consumer" timeout 120 "$RMQ" quickstart "$RMQ_VERSION" consume "127.0.0.1:$NS_PORT" orders 1000000
for _ in $(seq 100); do
  "$BIN" admin consumerProgress -n "127.0.0.1:$NS_PORT" 2>/dev/null | grep -q '^quickstart_consumer' && break
  sleep 0.2
done

say "$SERVER"
(cd "$CACHE" && node walk.mjs "http://127.0.0.1:$CONSOLE_PORT" walk-the-console "$SHOTS" orders quickstart_consumer "$TRACED" "$SERVER")
kill -- "-$(cat "$DIR/consumer/pid")" 2>/dev/null || true
rm -f "$DIR/consumer/pid"

# A broker that checks accounts, and a console that signs.
NS=$((NS_PORT + 7)) BROKER=$((BROKER_PORT + 7)) CONSOLE=$((CONSOLE_PORT + 7))
mkdir -p "$DIR/acl/conf" "$DIR/acl-console"
cat >"$DIR/acl/conf/plain_acl.yml" <<'YML'
globalWhiteRemoteAddresses:
accounts:
- accessKey: walk-console
  secretKey: walk-console-secret
  whiteRemoteAddress:
  admin: true
- accessKey: walk-orders
  secretKey: walk-orders-secret
  whiteRemoteAddress:
  admin: false
  defaultTopicPerm: DENY
  defaultGroupPerm: SUB
  topicPerms:
  - orders=PUB|SUB
YML
cp "$DIR/acl/conf/plain_acl.yml" "$DIR/acl/"
echo aclEnable=true >"$DIR/acl.conf"
start_namesrv "$SERVER" "$NS" "$DIR/acl-ns"
start_broker "$SERVER" "$BROKER" "127.0.0.1:$NS" "$DIR/acl" "$DIR/acl.conf"
spawn "$DIR/acl-console" "$BIN" console -n "127.0.0.1:$NS" --set "consolePort=$CONSOLE" --set consolePassword=walk-the-console \
  --set "consoleDataDir=$DIR/acl-console/data" --set consoleAccessKey=walk-console --set consoleSecretKey=walk-console-secret
wait_line "$DIR/acl-console" 'The console is at'
say "$SERVER with accounts"
(cd "$CACHE" && node acl.mjs "http://127.0.0.1:$CONSOLE" walk-the-console "$SHOTS")
