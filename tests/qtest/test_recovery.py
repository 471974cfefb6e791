# SPDX-License-Identifier: GPL-2.0-or-later
"""The network breaks in the middle of a postcopy, and nothing is lost: both sides pause, a new
connection takes over, and in the end the guest runs on exactly one side and all its memory is right.

Random moments come from a seed that is printed; GODWIT_SEED repeats a run, GODWIT_REPEAT makes it
longer."""
import os
import random
import time

import pytest

from godwit import migration, postcopy, workload
from godwit.proxy import Proxy
from godwit.qmp import QMPError
from godwit.recovery import CHANNELS, break_it, reconnect, settle, wait_paused

SEED = int(os.environ.get("GODWIT_SEED", random.randrange(1 << 32)))
MODES = ["vanilla", "everything"]


@pytest.fixture
def rng(request):
    """Random numbers of this test's own, the same for the same seed."""
    print(f"GODWIT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def broken(pair):
    """A maker of (source, destination, network between them), ready to `begin`."""
    nets = []

    def make(mode="vanilla", background=postcopy.BACKGROUND, ram="48M", mem=32, **options):
        a, b = pair(ram=ram, mem=mem, report=100, **options)
        postcopy.enable(a, b, mode, background=background)
        b.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0", "exit-on-error": False})
        nets.append(Proxy(postcopy.listening(b)))
        return a, b, nets[-1]

    yield make
    for net in nets:
        net.close()


def start(a, b, net):
    postcopy.begin(a, net.uri)
    postcopy.wait_running(a, b)
    postcopy.wait_requests(a, 5)


def finish(a, b):
    migration.set_parameters(a, max_postcopy_bandwidth=0)
    info = migration.wait_moved(a, b)
    postcopy.check_moved(a, b)
    workload.verify(b)
    return info


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("mode, channels", [
    ("vanilla", "main"), ("everything", "both"), ("everything", "main"), ("everything", "preempt")])
def test_a_lost_channel_pauses_both_ends_and_a_new_one_goes_on(broken, mode, channels, reset):
    a, b, net = broken(mode)
    start(a, b, net)
    net.cut(*CHANNELS[channels], reset=reset)
    wait_paused(a, b)
    for vm in (a, b):
        assert vm.qmp.cmd("query-migrate")["error-desc"]
    assert b.run_state() == "running" and a.run_state() != "running"
    reconnect(a, b, net)
    finish(a, b)
    assert "postcopy-recover" in b.qmp.statuses()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["source", "destination"])
def test_migrate_pause(broken, mode, side):
    a, b, net = broken(mode)
    start(a, b, net)
    (a if side == "source" else b).qmp.cmd("migrate-pause")
    wait_paused(a, b)
    reconnect(a, b, net)
    finish(a, b)


@pytest.mark.parametrize("accel", [pytest.param("kvm", marks=pytest.mark.kvm), "sim"])
def test_a_guest_that_waits_for_a_page_can_be_stopped(broken, accel):
    """...while nobody can send that page; it goes on with it later."""
    a, b, net = broken("everything", accel=accel)
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    time.sleep(0.05)  # into the next missing page
    b.qmp.cmd("stop")
    assert b.run_state() == "paused"
    reconnect(a, b, net)
    migration.set_parameters(a, max_postcopy_bandwidth=0)
    migration.wait_moved(a, b)
    assert b.run_state() == "paused"
    b.qmp.cmd("cont")
    workload.verify(b)


@pytest.mark.parametrize("mode", MODES)
def test_a_package_that_got_lost_can_be_taken_back(broken, mode):
    """The destination fails, and the source, which cannot know, is told that it may go on."""
    a, b, net = broken(mode)
    migration.set_capabilities(a, pause_before_switchover=True)
    postcopy.begin(a, net.uri)
    migration.wait_status(a, "pre-switchover")
    net.lose(0, 0)
    a.qmp.cmd("migrate-continue", {"state": "pre-switchover"})
    migration.wait_status(a, "postcopy-device")
    with pytest.raises(QMPError, match="not finalized"):
        a.qmp.cmd("cont")
    net.cut()
    assert (postcopy.wait_rest(a), postcopy.wait_rest(b)) == ("postcopy-paused", "failed")
    assert not postcopy.runs(a)
    a.qmp.cmd("cont")
    info = migration.wait_status(a, "failed")
    assert "did not confirm" in info["error-desc"], info
    a.wait_run_state("running")
    workload.verify(a)
    assert postcopy.wait_owner(a, b) is a


@pytest.mark.parametrize("mode", MODES)
def test_what_was_sent_last_and_got_lost_is_sent_again(broken, mode):
    """The source has sent everything, the end too, and only waits for the last word."""
    a, b, net = broken(mode)
    start(a, b, net)
    net.lose(0, 0)
    migration.set_parameters(a, max_postcopy_bandwidth=0)
    while postcopy.remaining(a):
        time.sleep(0.005)
    time.sleep(0.05)
    net.cut()
    wait_paused(a, b)
    reconnect(a, b, net)
    migration.wait_status(a, "postcopy-active", "completed")
    finish(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_twice(broken, mode):
    a, b, net = broken(mode)
    start(a, b, net)
    for _ in range(2):
        net.cut()
        wait_paused(a, b)
        reconnect(a, b, net)
        migration.wait_status(a, "postcopy-active")
        migration.wait_status(b, "postcopy-active")
        time.sleep(0.05)
    finish(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_a_recovery_that_breaks_is_tried_again(broken, mode):
    a, b, net = broken(mode)
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    # A connection on which nothing comes back: the source waits for the destination's bitmaps.
    b.qmp.cmd("migrate-recover", {"uri": "tcp:127.0.0.1:0"})
    net.forward_to(postcopy.listening(b))
    net.hold = (1,)
    a.qmp.cmd("migrate", {"uri": net.uri, "resume": True})
    migration.wait_status(a, "postcopy-recover")
    migration.wait_status(b, "postcopy-recover")
    net.hold = ()
    net.cut()
    wait_paused(a, b)
    reconnect(a, b, net)
    finish(a, b)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_migrate_pause_in_the_middle_of_a_recovery(broken, side):
    a, b, net = broken("everything")
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    net.hold = (1,)
    reconnect(a, b, net)
    migration.wait_status(a, "postcopy-recover")
    migration.wait_status(b, "postcopy-recover")
    (a if side == "source" else b).qmp.cmd("migrate-pause")
    net.hold = ()
    net.flow()
    wait_paused(a, b)
    reconnect(a, b, net)
    finish(a, b)


def test_a_source_that_cannot_reconnect_stays_paused_and_says_why(broken):
    a, b, net = broken()
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    a.qmp.cmd("migrate", {"uri": net.uri.rsplit(":", 1)[0] + ":1", "resume": True})
    end = time.monotonic() + 60
    while "refused" not in a.qmp.cmd("query-migrate").get("error-desc", ""):
        assert time.monotonic() < end
        time.sleep(0.005)
    wait_paused(a)
    reconnect(a, b, net)
    finish(a, b)


def test_a_second_migrate_recover_replaces_the_address(broken):
    a, b, net = broken("preempt")
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    b.qmp.cmd("migrate-recover", {"uri": f"unix:{b.dir}/never"})
    reconnect(a, b, net)
    finish(a, b)


def test_commands_in_the_wrong_state_are_refused(broken):
    a, b, net = broken()
    wrong = [(a, "migrate-pause", None), (b, "migrate-recover", {"uri": "tcp:127.0.0.1:0"}),
             (a, "migrate", {"uri": net.uri, "resume": True})]
    for vm, command, arguments in wrong:
        with pytest.raises(QMPError):
            vm.qmp.cmd(command, arguments)
    start(a, b, net)
    for vm, command, arguments in wrong[1:]:
        with pytest.raises(QMPError):
            vm.qmp.cmd(command, arguments)
    with pytest.raises(QMPError, match="cannot cancel|ostcopy"):
        a.qmp.cmd("migrate_cancel")
    finish(a, b)


def test_a_paused_source_does_not_run_the_guest_again(broken):
    a, b, net = broken()
    start(a, b, net)
    net.cut()
    wait_paused(a, b)
    for command, arguments in (("cont", None), ("migrate", {"uri": net.uri}),
                               ("migrate_cancel", None)):
        with pytest.raises(QMPError):
            a.qmp.cmd(command, arguments)
    assert postcopy.wait_owner(a, b) is b
    reconnect(a, b, net)
    finish(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_yank_frees_a_network_that_hangs(broken, mode):
    a, b, net = broken(mode, background=0)
    net.rates = {0: 2 << 20}  # so that the source is in a write, and much is still to come
    postcopy.begin(a, net.uri)
    postcopy.wait_running(a, b)
    net.stall()
    time.sleep(0.2)
    for vm in (a, b):
        info = vm.qmp.cmd("query-migrate")
        assert info["status"] == "postcopy-active", info
        assert {"type": "migration"} in vm.qmp.cmd("query-yank")
    for vm in (a, b):
        vm.qmp.cmd("yank", {"instances": [{"type": "migration"}]})
    wait_paused(a, b)
    reconnect(a, b, net)
    finish(a, b)


@pytest.mark.parametrize("way", ["cut", "cut main", "cut preempt", "reset", "pause source",
                                 "pause destination"])
def test_at_a_random_moment(broken, rng, way):
    for _ in range(postcopy.repeats()):
        a, b, net = broken("everything", background=24 << 20)
        moment = rng.uniform(0, 0.6)
        print(f"{way} after {moment:.6f} s")
        postcopy.begin(a, net.uri)
        time.sleep(moment)
        break_it(a, b, net, way)
        settle(a, b, net)
        end(a, b, net)


@pytest.mark.parametrize("way", ["cut", "pause source", "pause destination"])
def test_in_the_last_100_ms(broken, rng, way):
    for _ in range(postcopy.repeats()):
        a, b, net = broken("everything", ram="32M", mem=16, background=24 << 20)
        moment = rng.uniform(0, 0.12)
        print(f"{way} {moment:.6f} s after less than 100 ms were left")
        start(a, b, net)
        while a.qmp.cmd("query-migrate")["ram"]["remaining"] > 2400 << 10:
            time.sleep(0.001)
        time.sleep(moment)
        break_it(a, b, net, way)
        settle(a, b, net)
        end(a, b, net)


def end(a, b, net):
    net.close()
    a.close()
    b.close()
