#!/bin/sh
# Makes the topics that the examples use. Real systems make theirs on purpose as well, with the number of queues they need:
# automatic creation (autoCreateTopicEnable) is for the first steps.
#
#   NAMESRV_ADDR=127.0.0.1:9876 examples/topics.sh [LANGUAGE ...]      default: all four
set -eu
mqadmin=$(dirname "$0")/../bin/mqadmin
[ $# -gt 0 ] || set -- java go node python
for language; do
  for practice in quickstart tags-and-keys send-results retries ordered delayed transactions request-reply batches sql-filter \
    name-server-addresses broadcasting; do
    "$mqadmin" updateTopic -c DefaultCluster -t "$language-$practice" -r 4 -w 4
  done
  for practice in slow-consumer skip-backlog; do
    "$mqadmin" updateTopic -c DefaultCluster -t "$language-$practice" -r 1 -w 1
  done
done
