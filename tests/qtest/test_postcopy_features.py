# SPDX-License-Identifier: GPL-2.0-or-later
"""Each feature of a postcopy does what it is there for: every test here fails when its feature is
switched off (by a change in MODES, or in the engine)."""
import re
import time

import pytest

from godwit import migration, postcopy, workload
from godwit.proxy import Proxy

SLOW = 1 << 20  # bytes/s of the background: nearly every page has to be asked for


def served(pair, mode, pattern, background=SLOW, source=(), stop_at=1 / 4):
    """A postcopy until all but a rest of the memory has come: (source, destination), finished and
    verified."""
    a, b = pair(ram="24M", source=source, pattern=pattern, mem=16)
    postcopy.enable(a, b, mode, background=background)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    postcopy.wait_running(a, b)
    ram = migration.wait_status(a, "postcopy-active", "completed")["ram"]
    while ram["remaining"] > ram["total"] * stop_at:
        time.sleep(0.01)
        ram = migration.wait_status(a, "postcopy-active", but=("postcopy-paused", "failed"))["ram"]
    postcopy.finish(a, b)
    workload.verify(b)
    return a, b


def counters(source):
    return source.qmp.cmd("query-migrate")["postcopy-preempt"]


def traced(machine, event):
    return len(re.findall(rf"\b{event}\b", machine.stderr()))


def test_preempt_sends_requested_pages_on_a_channel_of_their_own(pair):
    a, _ = served(pair, "preempt", "random", source=["-trace", "postcopy_preempt_*"])
    count = counters(a)["urgent-pages"]
    assert count > 100
    assert traced(a, "postcopy_preempt_enabled") == 1
    assert traced(a, "postcopy_preempt_send_host_page") == count
    assert count <= postcopy.requests(a) <= count + traced(a, "postcopy_preempt_hit")


def test_without_preempt_nothing_is_urgent(pair):
    a, _ = served(pair, "vanilla", "random", source=["-trace", "postcopy_preempt_*"])
    assert postcopy.requests(a) > 100
    assert not any(counters(a).values())
    assert traced(a, "postcopy_preempt_enabled") == 0


@pytest.fixture
def over_a_slow_line(pair):
    """A sequential guest moves while the background stream is never idle: (mode) -> counters."""
    def move(mode):
        a, b = pair(ram="64M", source=["-trace", "postcopy_preempt_hint_*"], pattern="seq", mem=48)
        postcopy.enable(a, b, mode, background=0)
        line = Proxy(migration.listen(b, "tcp:127.0.0.1:0"), rates={0: 48 << 20})
        postcopy.begin(a, line.uri)
        migration.wait_moved(a, b)
        line.close()
        workload.verify(b)
        now = counters(a)
        print(mode, now)
        for what, event in (("offered", "offered"), ("consumed", "taken"), ("hit", "hit")):
            assert traced(a, f"postcopy_preempt_hint_{event}") == now[f"hints-{what}"]
        return now

    return move


def test_the_background_follows_hints_and_the_guest_comes_after(over_a_slow_line):
    now = over_a_slow_line("hint")
    assert now["hints-offered"] >= now["hints-consumed"] >= now["hints-hit"] > 0, now
    # How many is the machine's business: a slow guest soon finds its pages there.
    assert now["hints-hit"] >= now["hints-consumed"] // 2, now


def test_without_hints_the_background_is_told_nothing(over_a_slow_line):
    now = over_a_slow_line("preempt")
    assert [now[f"hints-{k}"] for k in ("offered", "consumed", "hit")] == [0, 0, 0]


@pytest.mark.parametrize("pattern", ["seq", "reverse", "stride"])
def test_prefetch_spares_the_guest_most_requests(pair, pattern):
    without, _ = served(pair, "preempt", pattern)
    a, _ = served(pair, "prefetch", pattern)
    now = counters(a)
    assert now["prefetch-hit"] > 0 and now["prefetch-sent"] > 0, now
    assert postcopy.requests(a) < postcopy.requests(without) / 5, (
        f"{postcopy.requests(a)} requests with prefetch, {postcopy.requests(without)} without")


def test_without_prefetch_nothing_is_predicted(pair):
    a, _ = served(pair, "preempt", "seq")
    assert [v for k, v in counters(a).items() if k.startswith("prefetch-")] == [0] * 5


@pytest.mark.parametrize("mode", ["vanilla", "preempt"])
def test_the_destination_tells_what_the_guest_felt(pair, mode):
    a, b = served(pair, mode, "random")
    now = b.qmp.cmd("query-migrate")
    assert "postcopy-blocktime" not in now
    faults = sum(now["postcopy-latency-dist"])
    assert len(now["postcopy-latency-dist"]) == 24
    assert faults >= postcopy.requests(a) * 0.9
    mean = now["postcopy-latency"]
    assert 1000 < mean < 100_000_000
    assert abs(sum(now["postcopy-latency-split"].values()) - mean) <= mean * 0.1 + 10


def test_the_blocktime_of_each_vcpu(machines):
    # On KVM the kernel may take the fault for the vCPU; sim's vCPUs are plain threads.
    kw = dict(workload.guest(accel="sim", pattern="random", mem=32, rate=0, cpus=2), mem="48M", cpus=2)
    a = machines(name="src", **kw).start()
    b = machines(name="dst", incoming="defer", **kw).start()
    workload.wait_ready(a)
    postcopy.enable(a, b, "preempt", ["postcopy-blocktime"], background=SLOW)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    postcopy.wait_running(a, b)
    postcopy.wait_requests(a, 500)
    postcopy.finish(a, b)
    now = b.qmp.cmd("query-migrate")
    assert len(now["postcopy-vcpu-blocktime"]) == len(now["postcopy-vcpu-latency"]) == 2
    assert all(now["postcopy-vcpu-blocktime"]) and all(now["postcopy-vcpu-latency"]), now
    assert now["postcopy-blocktime"] <= min(now["postcopy-vcpu-blocktime"])
    workload.verify(b)


@pytest.mark.kvm
def test_the_human_monitor_shows_it_too(pair):
    a, b = served(pair, "prefetch", "seq")
    assert re.search(r"[Pp]refetch", a.hmp("info migrate")), a.hmp("info migrate")
    assert re.search(r"[Ll]atency", b.hmp("info migrate -a")), b.hmp("info migrate -a")


@pytest.mark.parametrize("mode", ["vanilla", "preempt"])
def test_the_limit_holds_the_background_back_and_not_what_is_asked_for(pair, mode):
    a, b = pair(ram="48M", pattern="random", mem=32)
    postcopy.enable(a, b, mode, background=SLOW)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    postcopy.wait_running(a, b)
    postcopy.wait_requests(a, 400)
    info = a.qmp.cmd("query-migrate")
    asked = info["ram"]["postcopy-requests"] * 4200
    assert info["ram"]["postcopy-bytes"] - asked < SLOW * 2, info
    postcopy.finish(a, b)
    workload.verify(b)
