#!/usr/bin/env bash
# Tries what deploy/ has, as far as one machine without a cluster allows.
#
#   tests/deploy/run.sh [units|package|services|chart|image ...]
#
#   units     systemd-analyze verify and security of the units
#   package   the Debian package in a chroot: installed, upgraded, removed, purged; settings and messages stay where they must
#   services  the same package under a booted systemd: the units run, restart, are upgraded under way and stop
#   chart     helm lint, rendered with several values, every manifest against Kubernetes' schemas, the settings read by a broker
#   image     built from the Dockerfile without an engine, unpacked as OCI tools read it, run read-only as its user
#
# KEROLOX_STATIC names the static binary. Needs root. A part whose tools are not at hand is told as untried, and fails when it
# was named: systemd-analyze; debootstrap, dpkg-deb; systemd-nspawn; helm and kubernetes-validate (of PyPI); buildah, skopeo,
# umoci, crun. DEPLOY_CACHE is where the Debian root file system is kept.
[ -n "${APART:-}" ] || exec env APART=1 unshare --mount "${BASH_SOURCE[0]}" "$@"
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
BIN=${KEROLOX_STATIC:-$ROOT/target/x86_64-unknown-linux-musl/release/kerolox}
CACHE=${DEPLOY_CACHE:-$HOME/.cache/kerolox-deploy}
ROLES=(namesrv broker console)
[ "$(id -u)" = 0 ] || fail "needs root"
BIN=$(realpath "$BIN")
[ -x "$BIN" ] || fail "no static binary at $BIN; set KEROLOX_STATIC"
scratch deploy
NSPAWN=
leave() {
  local status=$?
  set +e
  # the machine inside ends orderly, and nothing is deleted through a mount
  if [ -n "$NSPAWN" ] && [ $status -ne 0 ]; then inside journalctl -q --no-pager -u 'kerolox-*' | tail -40; fi
  if [ -n "$NSPAWN" ]; then kill "$NSPAWN" 2>/dev/null; wait "$NSPAWN" 2>/dev/null; fi
  [ ! -d "$dir/bundle" ] || crun --root "$dir/crun" delete --force kerolox 2>/dev/null
  umount "$dir"/*/tree 2>/dev/null
  finish "$status" "$dir"
}
trap leave EXIT

equal() { [ "$2" = "$3" ] || fail "$1: '$2' where '$3' was expected"; }
here() { [ -e "$1" ] || fail "$1 is not there"; }
gone() { [ ! -e "$1" ] || fail "$1 is there"; }
# until COMMAND...: within 30 s
until_true() { local left=150; until "$@" >/dev/null 2>&1; do [ $((left--)) -gt 0 ] || fail "in vain: $*"; sleep 0.2; done; }

units() {
  local role unit
  for role in "${ROLES[@]}"; do
    unit=$dir/kerolox-$role.service
    # the commands that the units name are not installed here, the manual neither
    sed "s#/usr/bin/kerolox#$BIN#" "$ROOT/deploy/systemd/kerolox-$role.service" >"$unit"
    systemd-analyze verify --man=no "$unit" >"$dir/verify" 2>&1 || true
    equal "systemd-analyze verify of $role" "$(grep -F "kerolox-$role" "$dir/verify" || true)" ""
    systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" >"$dir/security" || { cat "$dir/security"; fail "$role may do too much"; }
    say "units: $role verified, $(sed -n 's/.*\(Overall exposure[^:]*: [0-9.]*\).*/\1/p' "$dir/security")"
  done
}

# packages: two releases in $dir/old.deb and $dir/new.deb
packages() {
  [ ! -e "$dir/new.deb" ] || return 0
  "$ROOT/deploy/debian/build.sh" "$BIN" "$dir" >/dev/null
  mv "$dir"/kerolox_*.deb "$dir/old.deb"
  dpkg-deb -R "$dir/old.deb" "$dir/next"
  sed -i 's/^Version: .*/&+1/' "$dir/next/DEBIAN/control"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$dir/next" "$dir/new.deb" >/dev/null
}

# debian NAME: a fresh Debian at $dir/NAME/tree, made once and changed in a layer of its own
debian() {
  if [ ! -e "$CACHE/debian/usr/bin/dpkg" ]; then
    mkdir -p "$CACHE"
    debootstrap --variant=minbase --include=adduser,systemd,systemd-sysv,dbus,curl bookworm "$CACHE/debian.part" >"$dir/debootstrap.log"
    mv "$CACHE/debian.part" "$CACHE/debian"
  fi
  TREE=$dir/$1/tree
  mkdir -p "$TREE" "$dir/$1/upper" "$dir/$1/work"
  mount -t overlay overlay -o "lowerdir=$CACHE/debian,upperdir=$dir/$1/upper,workdir=$dir/$1/work" "$TREE"
  cp "$dir/old.deb" "$dir/new.deb" "$TREE/root/"
}

package() {
  packages
  debian package
  inside() { chroot "$TREE" "$@" >>"$dir/package.log" 2>&1 || { tail -20 "$dir/package.log"; fail "$*"; }; }
  inside dpkg -i /root/old.deb
  inside kerolox --version
  equal "owner of the data" "$(chroot "$TREE" stat -c '%U %a' /var/lib/kerolox)" "kerolox 750"
  equal "owner of the settings" "$(chroot "$TREE" stat -c '%U %a' /etc/kerolox/broker.conf)" "kerolox 640"
  echo '# of an administrator' >>"$TREE/etc/kerolox/broker.conf"
  echo messages >"$TREE/var/lib/kerolox/messages"
  inside dpkg -i /root/new.deb
  tail -1 "$TREE/etc/kerolox/broker.conf" | grep -q administrator || fail "an upgrade overwrote the settings"
  inside dpkg -r kerolox
  gone "$TREE/usr/bin/kerolox"
  here "$TREE/etc/kerolox/broker.conf"
  here "$TREE/var/lib/kerolox/messages"
  inside dpkg -P kerolox
  gone "$TREE/etc/kerolox"
  equal "messages after a purge" "$(cat "$TREE/var/lib/kerolox/messages")" messages
  inside dpkg -i /root/new.deb
  equal "owner after all that" "$(chroot "$TREE" stat -c '%U' /var/lib/kerolox)" kerolox
  umount "$TREE"
  say "package: installed, upgraded, removed, purged and installed again; settings and messages stayed where they must"
}

# boot: systemd as the first process of the Debian at $TREE; `inside` runs commands there
boot() {
  mkdir -p /run/systemd/nspawn
  mount -t tmpfs tmpfs /run/systemd/nspawn # else nspawn refuses where /run is on a disk
  systemd-nspawn --register=no --keep-unit -q -D "$TREE" --private-network --console=pipe -b </dev/null >"$dir/boot.log" 2>&1 &
  NSPAWN=$!
  until_true pgrep -P "$NSPAWN"
  LEADER=$(pgrep -P "$NSPAWN" | head -1)
  inside() { nsenter -t "$LEADER" -a env PATH=/usr/sbin:/usr/bin:/sbin:/bin NAMESRV_ADDR=127.0.0.1:9876 "$@"; }
  until_true inside systemctl is-system-running
}

services() {
  local role pid pids
  packages
  debian services
  boot
  inside dpkg -i /root/old.deb >"$dir/dpkg.log" 2>&1 || { cat "$dir/dpkg.log"; fail "not installed"; }
  for role in "${ROLES[@]}"; do
    equal "kerolox-$role after the installation" "$(inside systemctl is-active "kerolox-$role" || true)" inactive
  done
  inside systemctl enable -q --now "${ROLES[@]/#/kerolox-}" 2>/dev/null
  until_true inside sh -c 'kerolox admin clusterList | grep -q broker-a'
  until_true inside curl -fs http://127.0.0.1:8080/healthz
  for role in "${ROLES[@]}"; do
    pid=$(inside systemctl show -P MainPID "kerolox-$role")
    inside cat "/proc/$pid/status" >"$dir/status"
    equal "privileges of $role" "$(awk '/^(NoNewPrivs|Seccomp|CapEff|CapBnd):/ { printf "%s%s ", $1, $2 }' "$dir/status")" "CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 "
    [ "$(awk '/^Uid:/ { print $2 }' "$dir/status")" != 0 ] || fail "$role runs as root"
  done
  inside kerolox admin updateTopic -c DefaultCluster -t deployed >/dev/null
  until_true inside sh -c 'kerolox admin sendMessage -t deployed -p "from a service" | grep -q SEND_OK'
  inside kerolox admin updateBrokerConfig -c DefaultCluster -k fileReservedTime -v 71 >/dev/null
  inside grep -q 'fileReservedTime *= *71' /etc/kerolox/broker.conf || fail "a changed setting is not in its file"
  kept() { inside kerolox admin consumeMessage -t deployed 2>&1 | grep -qF 'from a service'; }
  until_true kept

  pid=$(inside systemctl show -P MainPID kerolox-broker)
  inside systemctl kill -s KILL kerolox-broker
  until_true inside sh -c "systemctl -q is-active kerolox-broker && [ \"\$(systemctl show -P MainPID kerolox-broker)\" != $pid ]"
  until_true kept
  pids=$(inside systemctl show -P MainPID "${ROLES[@]/#/kerolox-}" | paste -sd' ')
  inside dpkg -i /root/new.deb >"$dir/dpkg.log" 2>&1 || { cat "$dir/dpkg.log"; fail "not upgraded"; }
  until_true inside curl -fs http://127.0.0.1:8080/healthz
  until_true kept
  for pid in $pids; do ! inside test -d "/proc/$pid" || fail "process $pid of the old release still runs after an upgrade"; done
  inside journalctl -q --no-pager -o cat -u 'kerolox-*' >"$dir/journal"
  ! grep -iE 'permission denied|not permitted|panicked' "$dir/journal" || fail "a unit forbids what its service needs"
  equal "passwords in the journal" "$(grep -cE '^ +password ' "$dir/journal")" 1

  inside systemctl stop kerolox-broker
  equal "the end of the broker" "$(inside systemctl show -P Result kerolox-broker)" success
  gone "$TREE/var/lib/kerolox/store/abort"
  inside dpkg -r kerolox >"$dir/dpkg.log" 2>&1 || { cat "$dir/dpkg.log"; fail "not removed"; }
  ! inside sh -c 'grep -qsx kerolox /proc/[0-9]*/comm' || fail "something runs after the removal"
  inside dpkg -P kerolox >>"$dir/dpkg.log" 2>&1
  here "$TREE/var/lib/kerolox/store/commitlog"
  kill "$NSPAWN"; wait "$NSPAWN" 2>/dev/null || true
  NSPAWN=
  umount "$TREE"
  say "services: all three ran as an own user without capabilities, came back after a kill, went on in the next release, stopped in order"
}

chart() {
  local values n=0
  helm lint --quiet --strict "$ROOT/deploy/helm/kerolox"
  for values in "" "broker.replicas=3,namesrv.replicas=1,broker.storageClassName=fast,metrics.annotations=false" \
    "console.passwordSecret=console,image.tag=1" "console.enabled=false"; do
    helm template mq "$ROOT/deploy/helm/kerolox" -n messages --set "$values" >"$dir/chart.yaml"
    kubernetes-validate --strict --quiet "$dir/chart.yaml" || fail "manifests with '$values'"
    # the settings and the arguments, as the broker's container gets them
    "$PYTHON" "$ROOT/tests/deploy/settings.py" "$dir/chart.yaml" "$dir/broker.conf" >"$dir/args"
    echo -p >>"$dir/args"
    xargs -d "\n" "$BIN" <"$dir/args" >"$dir/settings" 2>&1 || { cat "$dir/settings"; fail "the broker's settings with '$values'"; }
    grep -qx 'brokerIP1=mq-broker-0.mq-broker.messages.svc.cluster.local' "$dir/settings" || fail "the advertised address"
    n=$((n + $(grep -c '^kind:' "$dir/chart.yaml")))
  done
  say "chart: $n manifests valid ($(kubernetes-validate --version 2>&1 | tail -1)), their settings read by a broker"
}

image() {
  local context=$dir/context
  mkdir -p "$context" "$dir/data"
  cp "$BIN" "$context/kerolox"
  buildah() { command buildah --root "$dir/storage" --runroot "$dir/runroot" --storage-driver vfs "$@"; }
  buildah build -q --isolation chroot -f "$ROOT/deploy/docker/Dockerfile" -t kerolox "$context" >/dev/null
  buildah push -q kerolox "oci:$dir/oci:kerolox"
  skopeo inspect --config "oci:$dir/oci:kerolox" >"$dir/config.json"
  umoci unpack --image "$dir/oci:kerolox" "$dir/bundle" >/dev/null
  equal "files of the image" "$(cd "$dir/bundle/rootfs" && find . -type f -printf '%P %m\n')" "kerolox 755"
  chown 10001:10001 "$dir/data"
  # what an engine adds, and the strictest that the chart asks for: a volume, nothing else writable, no capabilities
  "$PYTHON" "$ROOT/tests/deploy/bundle.py" "$dir/bundle/config.json" "$dir/data"
  # crun knows no machine with both kinds of control groups; this covers them in our own namespace
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  crun --root "$dir/crun" --cgroup-manager=disabled run --detach --bundle "$dir/bundle" kerolox >"$dir/image.log" 2>&1 </dev/null || { cat "$dir/image.log"; fail "the container does not start"; }
  in_image() { crun --root "$dir/crun" --cgroup-manager=disabled exec kerolox /kerolox admin "$@" -n 127.0.0.1:9876; }
  registered() { in_image clusterList | grep -q broker-a; }
  until_true registered
  in_image updateTopic -c DefaultCluster -t contained >/dev/null
  until_true in_image sendMessage -t contained -p "from a container"
  in_image consumeMessage -t contained 2>&1 | grep -qF 'from a container' || fail "the message is not there"
  equal "owner of the volume's files" "$(stat -c %u "$dir/data/store")" 10001
  crun --root "$dir/crun" kill kerolox TERM
  until_true sh -c "crun --root '$dir/crun' state kerolox | grep -q stopped"
  gone "$dir/data/store/abort"
  crun --root "$dir/crun" delete kerolox
  umount /sys/fs/cgroup
  say "image: built, one file of $(($(stat -c %s "$context/kerolox") >> 20)) MiB, run read-only as user $("$PYTHON" -c "import json,sys; print(json.load(open(sys.argv[1]))['config']['User'])" "$dir/config.json"), stopped in order"
}

declare -A NEEDS=([units]=systemd-analyze [package]="debootstrap dpkg-deb" [services]="debootstrap dpkg-deb systemd-nspawn nsenter"
  [chart]="helm kubernetes-validate" [image]="buildah skopeo umoci crun")
named=$#
[ $# -gt 0 ] || set -- units package services chart image
for part; do
  [ -n "${NEEDS[$part]:-}" ] || fail "no part is named '$part'"
  lacking=
  for tool in ${NEEDS[$part]}; do command -v "$tool" >/dev/null || lacking+=" $tool"; done
  if [ -z "$lacking" ]; then "$part"; elif [ "$named" -gt 0 ]; then fail "$part needs$lacking"; else say "$part: untried, needs$lacking"; fi
done
