#!/usr/bin/env bash
# Builds the programs of examples/, runs each against servers started through bin/ and compares what it printed with
# expected/PRACTICE (or expected/PRACTICE.LANGUAGE), then tries the commands of mqadmin that the guides name beside them.
#
#   [SERVER=kerolox|reference] [NS_PORT=..] [BROKER_PORT=..] tests/examples/run.sh [LANGUAGE[:PRACTICE] ...]
#
# LANGUAGE is java, go, node or python; default: all. Builds are kept in EXAMPLES_CACHE. Needs what a user needs: Maven
# with Java 11, Go, Node, Python; nothing of the shared folder unless SERVER=reference (which knows no timed messages: `delayed` fails).
SHARED=${SHARED:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../shared" 2>/dev/null && pwd || echo /)}
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
[ $# -gt 0 ] || set -- java go node python
cache=${EXAMPLES_CACHE:-$HOME/.cache/kerolox-examples}
here=$ROOT/tests/examples
AT_ONCE=${AT_ONCE:-4}
scratch examples
mkdir -p "$cache" "$dir/home"

# copied, so that the checkout stays as it is
build() { # LANGUAGE
  case $1 in
    java)
      mkdir -p "$cache/java"
      cp -r "$ROOT/examples/java/." "$cache/java"
      (cd "$cache/java" && mvn -q -B compile org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath \
        -DincludeScope=runtime -Dmdep.outputFile="$cache/java/class-path") ;;
    go) (cd "$ROOT/examples/go" && go vet ./... && mkdir -p "$cache/go" && go build -o "$cache/go/" ./...) ;;
    node)
      mkdir -p "$cache/node"
      cp "$ROOT"/examples/node/* "$cache/node"
      [ -d "$cache/node/node_modules" ] || (cd "$cache/node" && npm install --silent --no-audit --no-fund) ;;
    python)
      [ -d "$cache/python" ] || "$PYTHON" -m venv "$cache/python"
      "$cache/python/bin/pip" -q install -r "$ROOT/examples/python/requirements.txt" ;;
    *) fail "no such language: $1" ;;
  esac
}

program() { # LANGUAGE PRACTICE: runs it
  local name
  case $1 in
    java)
      name=$(sed -E 's/(^|-)(.)/\u\2/g' <<<"$2")
      java -Xmx128m --add-opens=java.base/java.nio=ALL-UNNAMED -Duser.home="$dir/home" \
        -cp "$cache/java/target/classes:$(cat "$cache/java/class-path")" "examples.$name" ;;
    go) "$cache/go/${2//-/}" ;;
    node) node "$cache/node/$2.js" ;;
    python) "$cache/python/bin/python" "$ROOT/examples/python/$2.py" ;;
  esac
}

practices() { # LANGUAGE: those that it has a program for
  local name
  for name in "$here"/expected/*; do
    name=$(basename "$name")
    case $name in *.*) continue ;; esac
    case $1 in
      java | go) echo "$name" ;;
      *) if [ "$name" = quickstart ]; then echo "$name"; fi ;;
    esac
  done
}

judge() { # LANGUAGE PRACTICE: one program, its result as a line in DIR/results
  local at=$dir/$1-$2 expected=$here/expected/$2.$1 t0=$SECONDS
  [ -f "$expected" ] || expected=$here/expected/$2
  export HOME=$dir/home
  cd "$dir/home"
  if ( export -f program; export dir cache ROOT; timeout 170 bash -c 'program "$@"' - "$1" "$2" ) >"$at.out" 2>"$at.err" &&
    diff "$expected" "$at.out" >"$at.diff"; then
    echo "ok $1:$2 ($((SECONDS - t0)) s)" >>"$dir/results"
  else
    echo "FAIL $1:$2 ($((SECONDS - t0)) s)" >>"$dir/results"
  fi
}

wanted=() languages=()
for word; do
  languages+=("${word%%:*}")
  case $word in
    *:*) wanted+=("$word") ;;
    *) for name in $(practices "$word"); do wanted+=("$word:$name"); done ;;
  esac
done
for language in $(printf '%s\n' "${languages[@]}" | sort -u); do
  say "build $language"
  build "$language"
done

cat > "$dir/extra.conf" <<C
enablePropertyFilter=true
transactionCheckInterval=2000
transactionTimeOut=1000
waitTimeMillsInSendQueue=5000
C
start_namesrv "$SERVER" $NS "$dir/ns"
start_broker "$SERVER" $BROKER 127.0.0.1:$NS "$dir/br" "$dir/extra.conf"
export NAMESRV_ADDR=127.0.0.1:$NS
say "topics"
"$ROOT/examples/topics.sh" $(printf '%s\n' "${languages[@]}" | sort -u) >"$dir/topics.out"

say "${#wanted[@]} programs, $AT_ONCE at once"
: >"$dir/results"
for word in "${wanted[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$AT_ONCE" ]; do wait -n || true; done
  judge "${word%%:*}" "${word##*:}" &
done
wait

# The commands that the guides give beside the programs.
command_shows() { # PRACTICE TEXT COMMAND...
  local practice=$1 text=$2
  shift 2
  [[ " ${wanted[*]} " == *" java:$practice "* ]] || return 0
  if "$ROOT/bin/mqadmin" "$@" >"$dir/command.out" 2>&1 && grep -qE -- "$text" "$dir/command.out"; then
    echo "ok mqadmin:$1" >>"$dir/results"
  else
    echo "FAIL mqadmin $*: no '$text' in:" >>"$dir/results"
    cat "$dir/command.out"
  fi
}
command_shows tags-and-keys '[0-9A-F]{32}' queryMsgByKey -t java-tags-and-keys -k order-2
command_shows retries 'broker-a +0 +0 +[1-9]' topicStatus -t %DLQ%java-retries
command_shows slow-consumer 'Diff Total: 0' consumerProgress -g java-slow-consumer
command_shows skip-backlog 'java-skip-backlog|offset' resetOffsetByTime -g java-skip-backlog -t java-skip-backlog -s now

stop_server "$dir/br"
stop_server "$dir/ns"
sort "$dir/results"
failed=$(grep -c '^FAIL' "$dir/results" || true)
for word in $(sed -nE 's/^FAIL ([a-z]+:[a-z-]+) \(.*/\1/p' "$dir/results"); do
  say "$word printed, against what was expected"
  for kind in diff err; do tail -n 40 "$dir/${word/:/-}.$kind"; done
done
echo "examples: $(grep -c '^ok' "$dir/results" || true) passed, $failed failed"
[ "$failed" -eq 0 ]
