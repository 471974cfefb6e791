# SPDX-License-Identifier: GPL-2.0-or-later
"""A postcopy over a network (proxy.Proxy) that breaks: break it, bring both ends back together, and
see that in the end exactly one side has the guest, with all of its memory right."""
from . import migration, postcopy, workload
from .qmp import QMPError

CHANNELS = {"both": (), "main": (0,), "preempt": (1,)}


class BothRun(AssertionError):
    """The guest runs on both sides, or the source ran it again for a while."""


def wait_paused(*machines):
    for machine in machines:
        migration.wait_status(machine, "postcopy-paused")


def reconnect(a, b, net):
    """A new address on the destination, and the source told to go on there."""
    b.qmp.cmd("migrate-recover", {"uri": "tcp:127.0.0.1:0"})
    net.forward_to(postcopy.listening(b))
    a.qmp.cmd("migrate", {"uri": net.uri, "resume": True})


def break_it(a, b, net, way):
    """Does `way`. A pause that comes too early or too late is refused, and that is right."""
    verb, _, what = way.partition(" ")
    if verb == "pause":
        try:
            (a if what == "source" else b).qmp.cmd("migrate-pause")
        except QMPError:
            pass
        return
    numbers = [n for n in CHANNELS.get(what, ()) if n < len(net.links)]
    if numbers or not what:
        net.cut(*numbers, reset=verb == "reset")


def started_again(machine):
    """Whether this VMM ran the guest after it had last stopped it."""
    machine.qmp.pump()
    names = [e["event"] for e in machine.qmp.events if e["event"] in ("STOP", "RESUME")]
    return "STOP" in names and names[-1] == "RESUME"


def settle(a, b, net):
    """Whatever broke: recovers until it is over; (the VMM that has the guest, pages verified)."""
    states = ("failed", "failed")
    for _ in range(20):
        source = postcopy.wait_rest(a)
        if source == "failed" and migration.status(b) == "setup":
            break  # the destination has not even seen that somebody came
        states = source, postcopy.wait_rest(b)
        if postcopy.runs(a) and postcopy.runs(b):
            raise BothRun(f"source {states[0]}, destination {states[1]}")
        if states != ("postcopy-paused", "postcopy-paused"):
            break
        reconnect(a, b, net)
        migration.set_parameters(a, max_postcopy_bandwidth=0)
        migration.wait_status(a, "postcopy-active", "postcopy-paused", "completed")
    if states == ("postcopy-paused", "failed"):
        # The package got lost. Only we can see that: the source must be told.
        a.qmp.cmd("cont")
        migration.wait_status(a, "failed")
        states = ("failed", "failed")
    # The last word of the destination may be lost: it has all the guest, and the source cannot know.
    assert states in (("completed", "completed"), ("failed", "failed"),
                      ("postcopy-paused", "completed")), (
        states, a.qmp.cmd("query-migrate"), b.qmp.cmd("query-migrate"))
    owner = postcopy.wait_owner(a, b)
    assert owner is (a if states[0] == "failed" else b)
    if owner is b and started_again(a):
        raise BothRun("the source ran the guest again for a while")
    return owner, workload.verify(owner)[0]
