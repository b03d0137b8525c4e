#!/usr/bin/env bash
# Runs every `sh` block of README.md as a new user would type it, in a clean clone.
#
#   tests/readme/run.sh [--but] [SECTION ...]      default: every section that has an `sh` block
#   IN_PLACE=1   in this folder instead of a clone (for a build that is a clean clone already)
#
# Lines of a section share one shell. A line that starts a server goes on in the background, as if in a terminal of its own,
# once the server has said that it is up; at the end of the section each server that still runs gets a Ctrl-C and must end
# well. Every other line must end with status 0. The home folder is an empty one.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
scratch readme
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
mkdir -p "$dir/home"
export HOME=$dir/home
if [ -n "${IN_PLACE:-}" ]; then
  clone=$ROOT
else
  clone=$dir/clone
  git clone -q "$ROOT" "$clone"
fi
cd "$clone"

server_line() { # what a server says when it is up; nothing for other commands
  case $1 in
    *standalone*) echo 'boot success' ;;
    bin/mqnamesrv*) echo 'The Name Server boot success' ;;
    bin/mqbroker*) echo 'boot success' ;;
  esac
}

servers=()
start_server() { # COMMAND TEXT
  local d=$dir/server-${#servers[@]} left=6000
  mkdir -p "$d"
  ( exec setsid bash -c "exec $1" >"$d/out" 2>&1 </dev/null ) &
  echo $! > "$d/pid"
  servers+=("$d")
  # the first start builds as well
  until grep -qF -- "$2" "$d/out"; do
    alive "$(cat "$d/pid")" || { tail -40 "$d/out" >&2; fail "ended while starting: $1"; }
    [ $((left--)) -gt 0 ] || { tail -40 "$d/out" >&2; fail "not up within 20 minutes: $1"; }
    sleep 0.2
  done
}

end_servers() {
  local d pid left
  for d in ${servers[@]+"${servers[@]}"}; do
    pid=$(cat "$d/pid")
    # cargo run passes a Ctrl-C on to the whole process group, as a terminal does
    if alive "$pid"; then kill -INT -- "-$pid"; fi
    left=1000
    while alive "$pid"; do
      [ $((left--)) -gt 0 ] || fail "still running 20 s after a Ctrl-C: $d"
      sleep 0.02
    done
    wait "$pid" 2>/dev/null && rc=0 || rc=$?
    [ "$rc" -eq 0 ] || [ "$rc" -eq 130 ] || { tail -40 "$d/out" >&2; fail "the server ended with status $rc"; }
    rm -f "$d/pid"
  done
  servers=()
}

# section<TAB>line, for every line of every sh block; long lines may be continued with a backslash
mapfile -t lines < <(awk '
  /^## /           { section = substr($0, 4) }
  /^```sh$/        { inside = 1; next }
  /^```/           { inside = 0 }
  inside && /\\$/  { held = held substr($0, 1, length($0) - 1); next }
  inside && NF     { print section "\t" held $0; held = "" }
' README.md)
[ ${#lines[@]} -gt 0 ] || fail "README.md has no sh blocks"

wanted() { # SECTION
  local s
  [ ${#sections[@]} -gt 0 ] || return 0
  for s in "${sections[@]}"; do [ "$s" = "$1" ] && return "$but"; done
  return $((1 - but))
}
but=0
if [ "${1:-}" = --but ]; then but=1; shift; fi
sections=("$@")
passed=0 section=
for entry in "${lines[@]}"; do
  next=${entry%%$'\t'*} line=${entry#*$'\t'}
  wanted "$next" || continue
  if [ "$next" != "$section" ]; then
    end_servers
    section=$next
    say "README: $section"
  fi
  echo "\$ $line"
  text=$(server_line "$line")
  if [ -n "$text" ]; then
    start_server "$line" "$text"
  else
    rc=0
    eval "$line" >"$dir/line.out" 2>&1 </dev/null || rc=$?
    case $line in
      cargo*) grep -E '^test result|Finished' "$dir/line.out" || true ;;
      *) cut -c1-160 "$dir/line.out" | tail -n 15 ;;
    esac
    [ $rc -eq 0 ] || { tail -80 "$dir/line.out"; fail "status $rc: $line"; }
  fi
  passed=$((passed + 1))
done
end_servers
[ $passed -gt 0 ] || fail "no such section: ${sections[*]}"
echo "README: $passed passed, 0 failed"
