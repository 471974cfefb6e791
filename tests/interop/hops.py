# SPDX-License-Identifier: GPL-2.0-or-later
"""What a source must be told for the peer it sends to (spec: cross-version results, presence
knobs): `none` and `microvm` are unversioned machines, they always send what the newest peer
understands."""
from godwit import environment


def _knows_switchover_start(command):
    return not environment.is_stock(command) or environment.version(tuple(command)) >= (9, 0)


def switches(command, peer):
    """Command-line arguments for the VMM `command` when it will send to `peer` (None: it won't)."""
    if peer is None or _knows_switchover_start(peer) or not _knows_switchover_start(command):
        return []
    return ["-global", "migration.send-switchover-start=off"]


def preempt_switches(command, peer, mode):
    """With preempt, a QEMU before 8.0 opens and expects that channel at the start, and a mark at its
    end; to godwit that is a stranger unless it is told."""
    if (mode == "vanilla" or environment.is_stock(command)
            or environment.version(peer) >= (8, 0)):
        return []
    return ["-global", "migration.x-preempt-pre-7-2=on"]
