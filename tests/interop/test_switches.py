# SPDX-License-Identifier: GPL-2.0-or-later
"""The presence knobs of the stream (spec: stream 1.1): with the same setting at both ends godwit and
stock QEMU understand each other; with different ones the destination says so."""
import itertools

import pytest

from godwit import environment, migration
from hops import switches

KNOBS = ["send-configuration", "send-section-footer", "store-global-state"]


def ends(stock, direction):
    both = [environment.godwit_bin(), stock]
    return both if direction == "out" else both[::-1]


@pytest.mark.parametrize("direction", ["out", "back"])
@pytest.mark.parametrize("off", [c for n in (1, 2, 3) for c in itertools.combinations(KNOBS, n)],
                         ids="+".join)
def test_without(machines, stock, direction, off):
    source, destination = ends(stock, direction)
    knobs = [word for name in off for word in ("-global", f"migration.{name}=off")]
    # A QEMU 10 source trips over its own description of the state without a configuration.
    board = "none,suppress-vmdesc=on" if KNOBS[0] in off else "none"
    a = machines(source, name="src", machine=board, mem="16M",
                 args=[*knobs, *switches(source, destination)]).start()
    b = machines(destination, name="dst", machine=board, mem="16M", incoming="defer",
                 args=knobs).start()
    migration.migrate(a, b)
    assert b.run_state() == "running"


def test_switchover_start_is_understood_or_refused_by_name(machines, stock):
    a = machines(name="src", machine="none", mem="16M").start()
    b = machines(stock, name="dst", machine="none", mem="16M", incoming="defer").start()
    migration.set_capabilities(a, return_path=True)
    migration.set_capabilities(b, return_path=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    if not switches(environment.godwit_bin(), stock):
        migration.wait_moved(a, b)
        return
    assert migration.wait_status(a, "failed", but=["completed"])["error-desc"]
    b.wait_exit()
    assert "unknown" in b.stderr()
    a.wait_run_state("running")


@pytest.mark.parametrize("off", KNOBS[:2])
def test_a_knob_off_at_the_source_alone_is_refused(machines, stock, off):
    a = machines(stock, name="src", machine="none", mem="16M",
                 args=["-global", f"migration.{off}=off"]).start()
    b = machines(name="dst", machine="none", mem="16M", incoming="defer").start()
    uri = f"unix:{b.dir}/migrate"
    b.qmp.cmd("migrate-incoming", {"uri": uri, "exit-on-error": False})
    a.qmp.cmd("migrate", {"uri": uri})
    info = migration.wait_status(b, "failed", but=["completed"])
    assert off.split("-")[1] in info["error-desc"] or "footer" in info["error-desc"]
