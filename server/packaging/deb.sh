#!/usr/bin/env bash
# deb.sh BINARIES OUTPUT: makes OUTPUT/ringmq_VERSION_ARCH.deb of the static programs in BINARIES.
#
#   cargo build --release --target x86_64-unknown-linux-musl -p ringmq-server -p ringmq-tools
#   server/packaging/deb.sh target/x86_64-unknown-linux-musl/release .
set -euo pipefail
binaries=$(realpath "$1"); output=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
version=$("$binaries/ringmq" --version | awk '{ print $2 }')
architecture=$(dpkg --print-architecture)
tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT
put() { install -D -m "$1" "$2" "$tree/$3"; }

put 755 "$binaries/ringmq" usr/bin/ringmq
put 755 "$binaries/ringmq-admin" usr/bin/ringmq-admin
# Without what only a debugger reads.
if command -v strip >/dev/null; then strip "$tree/usr/bin/ringmq" "$tree/usr/bin/ringmq-admin"; fi
put 644 "$here/ringmq@.service" lib/systemd/system/ringmq@.service
put 644 "$here/sysctl.conf" usr/lib/sysctl.d/60-ringmq.conf
put 644 "$here/broker.conf" etc/ringmq/broker.conf
put 644 "$here/namesrv.conf" etc/ringmq/namesrv.conf
for page in "$root"/docs/*.md; do put 644 "$page" "usr/share/doc/ringmq/$(basename "$page")"; done
put 644 "$root/LICENSE" usr/share/doc/ringmq/copyright
install -d "$tree/usr/share/bash-completion/completions"
"$binaries/ringmq-admin" completion bash >"$tree/usr/share/bash-completion/completions/ringmq-admin"

mkdir -p "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<X
Package: ringmq
Version: $version
Architecture: $architecture
Maintainer: RingMQ <ringmq@localhost>
Section: net
Priority: optional
Recommends: systemd
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Description: message broker compatible with Apache RocketMQ
 Speaks RocketMQ's remoting protocol; an acknowledged message is on the disk.
 Needs Linux 6.1 or newer with io_uring.
X
printf '/etc/ringmq/broker.conf\n/etc/ringmq/namesrv.conf\n' >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/postinst" <<'X'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  getent group ringmq >/dev/null || groupadd --system ringmq
  getent passwd ringmq >/dev/null || useradd --system --gid ringmq --home-dir /var/lib/ringmq --no-create-home --shell /usr/sbin/nologin ringmq
  # A live change of the configuration replaces its file.
  chown ringmq:ringmq /etc/ringmq /etc/ringmq/broker.conf /etc/ringmq/namesrv.conf
  for folder in /var/lib/ringmq /var/lib/ringmq/broker /var/lib/ringmq/namesrv; do
    install -d -m 750 -o ringmq -g ringmq "$folder"
  done
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    systemd-sysctl /usr/lib/sysctl.d/60-ringmq.conf >/dev/null 2>&1 || true
  fi
fi
X
cat >"$tree/DEBIAN/prerm" <<'X'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop ringmq@broker.service ringmq@namesrv.service || true
fi
X
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm"
file="$output/ringmq_${version}_${architecture}.deb"
dpkg-deb --root-owner-group --build "$tree" "$file" >/dev/null
echo "$file"
