#!/usr/bin/env bash
# One function of lib.sh as a command, for drivers in other languages: tests/server.sh start_broker KIND PORT NAMESRV DIR [CONF]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case ${1:-} in
  start_namesrv | start_broker | stop_server | kill_server) "$@" ;;
  *) fail "server.sh start_namesrv|start_broker|stop_server|kill_server ARGS..." ;;
esac
