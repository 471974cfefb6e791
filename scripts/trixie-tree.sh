#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a cached tree of Debian 13 (trixie) with its QEMU in it, and prints where it is on the last
# line of stdout. The host's /dev, /proc and /tmp are bound into it, so that a QEMU run there by
# `chroot TREE qemu-system-x86_64 ...` has KVM and shares sockets and files in /tmp with the host.
#
# The tree is $GODWIT_TRIXIE, or $XDG_CACHE_HOME/godwit/trixie, or /var/cache/godwit/trixie; one
# that is there already is taken as it is. Needs root and debootstrap. Exit status 77 and a reason
# on stderr where a tree can't be had.
set -eu

skip() {
    echo "trixie-tree: $*" >&2
    exit 77
}

tree=${GODWIT_TRIXIE:-${XDG_CACHE_HOME:-/var/cache}/godwit/trixie}
qemu=usr/bin/qemu-system-x86_64

[ "$(id -u)" = 0 ] || skip "needs root, for chroot and mount"
mkdir -p "$(dirname "$tree")"

# Two test runs at once must not build the same tree.
exec 9>"$tree.lock"
flock 9

if [ ! -x "$tree/$qemu" ]; then
    command -v debootstrap >/dev/null || skip "needs debootstrap (apt-get install debootstrap)"
    # The mirror that apt uses for this host's own packages.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep '/debian/*$' | head -n 1 || true)
    rm -rf "$tree.part"
    if ! debootstrap --variant=minbase --include=qemu-system-x86 trixie "$tree.part" ${mirror:+"$mirror"} \
        >"$tree.log" 2>&1; then
        rm -rf "$tree.part"
        skip "debootstrap failed: $(tail -n 1 "$tree.log") (whole log in $tree.log)"
    fi
    mv "$tree.part" "$tree"
fi

for dir in dev proc tmp; do
    mountpoint -q "$tree/$dir" && continue
    mkdir -p "$tree/$dir"
    mount --bind "/$dir" "$tree/$dir" || skip "cannot bind /$dir into $tree"
done

chroot "$tree" "/$qemu" --version >/dev/null || skip "the QEMU in $tree does not run"
echo "$tree"
