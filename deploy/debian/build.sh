#!/usr/bin/env bash
# Makes a Debian package of a built binary, with the tools of dpkg alone.
#
#   deploy/debian/build.sh BINARY [FOLDER]      FOLDER is where the package goes, the present one by default
#
# A static binary (--target x86_64-unknown-linux-musl) runs on every release of Debian and Ubuntu; others need its libc.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BINARY=${1:?which binary} OUT=${2:-.}
VERSION=$("$BINARY" --version | cut -d' ' -f2)
ARCH=$(dpkg --print-architecture)
TREE=$(mktemp -d)
trap 'rm -rf "$TREE"' EXIT
put() { install -D -m "$1" "$2" "$TREE/$3"; }

put 755 "$BINARY" usr/bin/kerolox
! command -v strip >/dev/null || strip "$TREE/usr/bin/kerolox"
for script in mqadmin mqbroker mqnamesrv mqshutdown; do put 755 "$ROOT/bin/$script" "usr/bin/$script"; done
for role in namesrv broker console; do
  put 644 "$ROOT/deploy/systemd/kerolox-$role.service" "lib/systemd/system/kerolox-$role.service"
  put 640 "$ROOT/conf/$role.conf" "etc/kerolox/$role.conf"
done
# The name server of this package, unless the administrator names others.
sed -i 's/^#namesrvAddr = .*/namesrvAddr = 127.0.0.1:9876/' "$TREE/etc/kerolox/broker.conf"
for doc in README.md docs/operations.md docs/differences.md docs/reference/configuration.md; do
  put 644 "$ROOT/$doc" "usr/share/doc/kerolox/$(basename "$doc")"
done
cat >"$TREE/usr/share/doc/kerolox/copyright" <<'COPYRIGHT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Kerolox
Source: https://github.com/kerolox/kerolox

Files: *
Copyright: The Kerolox developers
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
COPYRIGHT
gzip -9nc "$ROOT/CHANGELOG.md" >"$TREE/usr/share/doc/kerolox/changelog.gz"
mkdir -p "$TREE/usr/share/man/man1" "$TREE/usr/share/bash-completion/completions" "$TREE/usr/share/zsh/vendor-completions" \
  "$TREE/usr/share/fish/vendor_completions.d"
"$BINARY" docs man >"$TREE/usr/share/man/man1/kerolox.1"
for name in mqadmin mqbroker mqnamesrv mqshutdown; do echo '.so man1/kerolox.1' >"$TREE/usr/share/man/man1/$name.1"; done
gzip -9n "$TREE"/usr/share/man/man1/*.1
"$BINARY" completion bash >"$TREE/usr/share/bash-completion/completions/kerolox"
"$BINARY" completion zsh >"$TREE/usr/share/zsh/vendor-completions/_kerolox"
"$BINARY" completion fish >"$TREE/usr/share/fish/vendor_completions.d/kerolox.fish"

mkdir "$TREE/DEBIAN"
cat >"$TREE/DEBIAN/control" <<CONTROL
Package: kerolox
Version: $VERSION
Architecture: $ARCH
Maintainer: The Kerolox developers <kerolox@users.noreply.github.com>
Depends: adduser
Section: net
Priority: optional
Installed-Size: $(du -sk "$TREE" | cut -f1)
Homepage: https://github.com/kerolox/kerolox
Description: message broker in the place of Apache RocketMQ
 Name server, broker, console and administration in one binary. Clients of
 RocketMQ 4.x connect unchanged, and its data directories are used in place.
CONTROL
find "$TREE/etc" -type f -printf '/etc/%P\n' | sort >"$TREE/DEBIAN/conffiles"
install -m 755 "$ROOT/deploy/debian/postinst" "$ROOT/deploy/debian/prerm" "$ROOT/deploy/debian/postrm" "$TREE/DEBIAN/"
find "$TREE" -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group --build "$TREE" "$OUT/kerolox_${VERSION}_$ARCH.deb"
