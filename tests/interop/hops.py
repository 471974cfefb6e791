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
