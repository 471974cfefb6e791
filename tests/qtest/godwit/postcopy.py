# SPDX-License-Identifier: GPL-2.0-or-later
"""A postcopy on two machines: switch it on, begin it at a chosen moment, see it through.

The background stream is held back (BACKGROUND bytes/s), so that the guest meets missing pages;
`finish` lets it run. GODWIT_REPEAT says how often a test repeats what it does, GODWIT_MIB how much
memory it gives to a guest."""
import os
import time

from . import environment, migration, workload

BACKGROUND = 16 << 20
RESTS = ("completed", "postcopy-paused", "failed", "cancelled")

# What a postcopy may have beyond postcopy-ram. The last two are the source's own business, and stock
# QEMU does not know them.
MODES = {
    "vanilla": (),
    "preempt": ("postcopy-preempt",),
    "hint": ("postcopy-preempt", "postcopy-preempt-hint"),
    "prefetch": ("postcopy-preempt", "postcopy-prefetch"),
    "everything": ("postcopy-preempt", "postcopy-preempt-hint", "postcopy-prefetch"),
}


def repeats(default=1):
    return int(os.environ.get("GODWIT_REPEAT", default))


def mib(default):
    return int(os.environ.get("GODWIT_MIB", default))


OURS = {"postcopy-ram", *(name for mode in MODES.values() for name in mode)}


def capabilities(machine, names):
    """Switches these on, and what else a postcopy may have off."""
    known = {c["capability"] for c in machine.qmp.cmd("query-migrate-capabilities")}
    missing = [n for n in names if n not in known]
    assert not missing or environment.is_stock(machine.command), f"no capability {missing}"
    machine.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": n, "state": n in names} for n in sorted({*names, *OURS} & known)]})


def enable(source, destination, mode="vanilla", extra=(), background=BACKGROUND):
    """Sets both ends up, before the destination listens."""
    for machine in (source, destination):
        capabilities(machine, ("postcopy-ram", "events", *MODES[mode], *extra))
    migration.set_parameters(source, max_postcopy_bandwidth=background)


def listening(destination):
    """The URI of the TCP port on which it listens now."""
    address = destination.qmp.cmd("query-migrate")["socket-address"][0]
    return f"tcp:127.0.0.1:{address['port']}"


def begin(source, uri, when="at once"):
    """Starts the migration, and the switch to postcopy: `at once`, or in `mid-pass`, when part of
    the memory has come and part of that is stale again."""
    slow = when == "mid-pass"
    migration.set_parameters(source, max_bandwidth=64 << 20 if slow else 1 << 20)
    source.qmp.cmd("migrate", {"uri": uri})
    if slow:
        end = time.monotonic() + 60
        while True:
            ram = migration.wait_status(source, "active", "setup").get("ram")
            if ram and ram["remaining"] < ram["total"] * 3 // 4:
                break
            assert time.monotonic() < end, f"the first pass does not get on: {ram}"
            time.sleep(0.002)
    else:
        migration.wait_status(source, "active")
    source.qmp.cmd("migrate-start-postcopy")


def wait_running(source, destination):
    """Until the guest runs at the destination."""
    migration.wait_status(source, "postcopy-active", "completed")
    migration.wait_status(destination, "postcopy-active", "completed")
    destination.wait_run_state("running")


def requests(source):
    return source.qmp.cmd("query-migrate")["ram"]["postcopy-requests"]


def remaining(source):
    """Bytes that the source still has to send."""
    return source.qmp.cmd("query-migrate")["ram"]["remaining"]


def wait_requests(source, count, timeout=30):
    """Until the destination has asked for that many pages, or the postcopy has ended."""
    end = time.monotonic() + timeout
    while requests(source) < count and migration.status(source) == "postcopy-active":
        assert time.monotonic() < end, f"{requests(source)} requests in {timeout} s"
        time.sleep(0.005)


def finish(source, destination, timeout=120):
    """Lets the background stream run until all memory has come; the source's reply."""
    migration.set_parameters(source, max_postcopy_bandwidth=0)
    info = migration.wait_moved(source, destination, timeout)
    check_moved(source, destination)
    return info


def check_moved(source, destination):
    assert destination.run_state() == "running"
    assert source.run_state() == "postmigrate"
    assert source.qmp.cmd("query-migrate")["ram"]["remaining"] == 0


def wait_rest(machine, timeout=60):
    """Until that side has come to rest: completed, paused, failed; its status."""
    return migration.wait_status(machine, *RESTS, timeout=timeout)["status"]


def runs(machine):
    """Whether the guest runs in this VMM, which may have ended."""
    if machine.process.poll() is not None:
        return False
    return machine.run_state() == "running"


def wait_owner(source, destination):
    """The one VMM that runs the guest, when both have come to rest; an error if both or neither."""
    at = [vm for vm in (source, destination) if runs(vm)]
    assert len(at) == 1, (
        f"the guest runs on {[vm.name for vm in at]}: "
        + "; ".join(f"{vm.name} {vm.run_state()}, {vm.qmp.cmd('query-migrate')}"
                    for vm in (source, destination) if vm.process.poll() is None))
    return at[0]


def move(source, destination, mode="vanilla", when="at once", extra=(), uri=None, least=1):
    """One whole postcopy in which the guest met at least `least` missing pages, verified by the guest;
    the source's reply."""
    enable(source, destination, mode, extra)
    begin(source, migration.listen(destination, uri or "tcp:127.0.0.1:0"), when)
    wait_running(source, destination)
    wait_requests(source, max(least, 1))
    info = finish(source, destination)
    assert info["ram"]["postcopy-requests"] >= least, info
    workload.verify(destination)
    return info
