#!/usr/bin/env bash
# Walks through the web console in Chromium, against live servers with a stock Java consumer at work.
#
#   tests/console/run.sh                 our servers; SERVER=reference: the real RocketMQ 4.7.1 behind our console
#
# SCREENS=FOLDER takes the screens of the README instead: SCREENS=$PWD/docs/images tests/console/run.sh
#
# Needs chromium (CHROMIUM=PATH), node, npm and java. SHOTS names the folder of the screenshots (default target/console);
# NS_PORT, BROKER_PORT and CONSOLE_PORT the ports.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
CONSOLE_PORT=${CONSOLE_PORT:-18080}
SHOTS=${SHOTS:-$ROOT/target/console/$SERVER}
CACHE=${CONSOLE_CACHE:-$HOME/.cache/kerolox-console}
CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
[ -x "$CHROMIUM" ] || fail "no chromium; install it or set CHROMIUM"
export CHROMIUM
scratch console

mkdir -p "$CACHE" "$SHOTS"
cp "$ROOT/tests/console/package.json" "$ROOT"/tests/console/*.mjs "$CACHE/"
(cd "$CACHE" && npm install --silent --no-audit --no-fund --no-package-lock >/dev/null)

start_namesrv "$SERVER" "$NS" "$dir/ns"
echo traceTopicEnable=true >"$dir/more.conf"
start_broker "$SERVER" "$BROKER" "127.0.0.1:$NS" "$dir/broker" "$dir/more.conf"
start_console "127.0.0.1:$NS" "$CONSOLE_PORT" "$dir/console" consolePassword=walk-the-console

"$BIN" admin updateTopic -n "127.0.0.1:$NS" -c DefaultCluster -t orders -r 4 -w 4 >/dev/null
"$BIN" admin updateTopic -n "127.0.0.1:$NS" -c DefaultCluster -t walk-traffic -r 2 -w 2 >/dev/null
"$RMQ" java "$RMQ_VERSION" "$ROOT/tests/console/Traffic.java" "127.0.0.1:$NS" >"$dir/traffic.out" 2>&1 || { tail "$dir/traffic.out"; fail "no traffic"; }
TRACED=$(sed -n 's/^traced //p' "$dir/traffic.out")
# sends, then consumes until it is ended
mkdir -p "$dir/consumer"
"$RMQ" quickstart "$RMQ_VERSION" produce "127.0.0.1:$NS" orders 300 >"$dir/produce.out" 2>&1 || { tail "$dir/produce.out"; fail "nothing was sent"; }
spawn "$dir/consumer" timeout 300 "$RMQ" quickstart "$RMQ_VERSION" consume "127.0.0.1:$NS" orders 1000000
for _ in $(seq 100); do
  "$BIN" admin consumerProgress -n "127.0.0.1:$NS" 2>/dev/null | grep -q '^quickstart_consumer' && break
  sleep 0.2
done

if [ -n "${SCREENS:-}" ]; then
  for n in $(seq 200); do "$RMQ" quickstart "$RMQ_VERSION" produce "127.0.0.1:$NS" orders $((n / 6 % 3 * 300 + 200)) || true; done >"$dir/produce.out" 2>&1 &
  (cd "$CACHE" && node screens.mjs "http://127.0.0.1:$CONSOLE_PORT" walk-the-console "$SCREENS" "$TRACED")
  kill $! 2>/dev/null || true
  exit
fi
say "$SERVER"
(cd "$CACHE" && node walk.mjs "http://127.0.0.1:$CONSOLE_PORT" walk-the-console "$SHOTS" orders quickstart_consumer "$TRACED" "$SERVER")
printf -v START '%q ' "$ROOT/tests/server.sh" start_broker "$SERVER" "$BROKER" "127.0.0.1:$NS" "$dir/broker" "$dir/more.conf"
printf -v KILL '%q ' "$ROOT/tests/server.sh" kill_server "$dir/broker"
say "$SERVER with a broker that dies"
(cd "$CACHE" && node away.mjs "http://127.0.0.1:$CONSOLE_PORT" walk-the-console "$SHOTS" orders quickstart_consumer "$KILL" "$START")
stop_server "$dir/consumer"

# A broker that checks accounts, and a console that signs.
NS=$((NS + 7)) BROKER=$((BROKER + 7)) CONSOLE_PORT=$((CONSOLE_PORT + 7))
mkdir -p "$dir/acl/conf"
cat >"$dir/acl/conf/plain_acl.yml" <<'YML'
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
cp "$dir/acl/conf/plain_acl.yml" "$dir/acl/"
echo aclEnable=true >"$dir/acl.conf"
start_namesrv "$SERVER" "$NS" "$dir/acl-ns"
start_broker "$SERVER" "$BROKER" "127.0.0.1:$NS" "$dir/acl" "$dir/acl.conf"
start_console "127.0.0.1:$NS" "$CONSOLE_PORT" "$dir/acl-console" consolePassword=walk-the-console \
  consoleAccessKey=walk-console consoleSecretKey=walk-console-secret
say "$SERVER with accounts"
(cd "$CACHE" && node acl.mjs "http://127.0.0.1:$CONSOLE_PORT" walk-the-console "$SHOTS")
