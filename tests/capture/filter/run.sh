#!/usr/bin/env bash
# Has the filter of the real RocketMQ 4.7.1 judge the messages and expressions beside this script, and 2500 random ones (always
# the same), and writes what it said to crates/kerolox-broker/testdata/filter. Needs the shared folder, Java and Maven.
source "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"
here=$ROOT/tests/capture/filter
out=$ROOT/crates/kerolox-broker/testdata/filter
scratch filter
"$RMQ" fetch "$RMQ_VERSION"
cp=$("$RMQ" cp "$RMQ_VERSION")
javac -encoding UTF-8 -cp "$cp" -d "$dir" "$here/Answers.java"
mkdir -p "$out"
cp "$here/messages.txt" "$out/messages.txt"
java -cp "$dir:$cp" Answers "$here/messages.txt" "$here/expressions.txt" 2500 > "$out/answers.txt"
echo "$(wc -l < "$out/answers.txt") expressions -> $out/answers.txt"
