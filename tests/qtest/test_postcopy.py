# SPDX-License-Identifier: GPL-2.0-or-later
"""A running guest moves by postcopy, whatever it does to its memory meanwhile and whatever that is
made of. After each move the guest itself verifies all of its memory.

GODWIT_REPEAT=20 GODWIT_MIB=1024 makes a long run of it."""
import pathlib

import pytest

from godwit import migration, postcopy, workload
from godwit.qmp import QMPError

PATTERNS = ["random", "seq", "reverse", "stride", "stream"]
FEW = ["vanilla", "preempt", "hint", "prefetch"]


@pytest.fixture
def chain(machines):
    """A maker of hops: each call moves the guest on to a new VMM and ends the one before."""
    class Chain:
        here = None

        def start(self, ram=None, args=(), cpus=1, **options):
            ram = ram or postcopy.mib(64)
            self.kw = dict(workload.guest(**{"mem": ram * 5 // 8, **options}, cpus=cpus),
                           mem=f"{ram}M", cpus=cpus, args=args)
            self.hops = 0
            self.here = machines(name="hop0", **self.kw).start()
            workload.wait_ready(self.here)

        def move(self, mode, when, **kw):
            self.hops += 1
            there = machines(name=f"hop{self.hops}", incoming="defer", **self.kw).start()
            info = postcopy.move(self.here, there, mode, when, **kw)
            self.here.close()
            self.here = there
            return info

    return Chain()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("when", ["at once", "mid-pass"])
def test_a_guest_moves_while_it_works_by(chain, pattern, when):
    chain.start(pattern=pattern, rate=200 if pattern == "stream" else 0)
    for _ in range(postcopy.repeats()):
        for mode in FEW:
            chain.move(mode, when, least=8 if when == "at once" else 1)


def test_four_vcpus(chain):
    chain.start(pattern="random", cpus=4)
    for _ in range(postcopy.repeats()):
        for mode in FEW:
            chain.move(mode, "at once", least=8)


@pytest.mark.parametrize("backend", [
    "memory-backend-ram", "memory-backend-memfd,share=off", "memory-backend-memfd,share=on",
    "memory-backend-file,mem-path=/dev/shm,share=on"])
def test_memory_from(chain, backend):
    chain.start(ram=64, args=["-object", f"{backend},id=guestmem,size=64M",
                              "-machine", "memory-backend=guestmem"])
    for _ in range(postcopy.repeats()):
        for mode in ("vanilla", "everything"):
            chain.move(mode, "mid-pass")


def test_a_private_mapping_of_a_users_file_is_refused_and_the_file_left_alone(machines, tmp_path):
    path = tmp_path / "memory"
    path.write_bytes(b"mine" * (4 << 20))
    b = machines(machine="none,memory-backend=m", mem="16M", incoming="defer", args=[
        "-object", f"memory-backend-file,id=m,mem-path={path},size=16M,share=off"]).start()
    with pytest.raises(QMPError, match="'m' is a private mapping of a file: use share=on"):
        postcopy.capabilities(b, ["postcopy-ram"])
    assert path.read_bytes() == b"mine" * (4 << 20)


HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


@pytest.fixture
def huge_pages():
    """2 MiB pages for two guests of 128 MiB; what was reserved before is so again afterwards."""
    count = HUGE / "nr_hugepages"
    try:
        before = int(count.read_text())
        count.write_text(str(before + 136))
    except OSError as e:
        pytest.skip(f"huge pages cannot be reserved: {e}")
    try:
        if int((HUGE / "free_hugepages").read_text()) < 128:
            pytest.skip("there is no room for 128 huge pages")
        yield
    finally:
        count.write_text(str(before))


@pytest.mark.parametrize("share", ["off", "on"])
def test_huge_pages(chain, huge_pages, share):
    memory = f"memory-backend-memfd,id=guestmem,size=128M,hugetlb=on,hugetlbsize=2M,share={share}"
    chain.start(ram=128, args=["-object", memory, "-machine", "memory-backend=guestmem"])
    for _ in range(postcopy.repeats()):
        for mode, when in (("vanilla", "at once"), ("everything", "at once"),
                           ("preempt", "mid-pass")):
            chain.move(mode, when)


def test_over_a_unix_socket(pair):
    a, b = pair()
    postcopy.move(a, b, "preempt", uri=f"unix:{b.dir}/migrate")


def test_zero_pages_arrive_as_zero_pages(chain):
    chain.start(pattern="seq", fill="mixed", write=50)
    info = chain.move("everything", "mid-pass")
    assert info["ram"]["duplicate"] > 0


def test_a_guest_that_is_paused_moves_too(pair):
    a, b = pair()
    a.qmp.cmd("stop")
    postcopy.enable(a, b, "preempt", background=0)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    migration.wait_moved(a, b)
    assert b.run_state() == "paused"
    b.qmp.cmd("cont")
    workload.verify(b)


@pytest.mark.kvm
def test_the_monitor_reads_memory_that_is_missing(pair):
    # The guest works on the first tenth of its memory and leaves the rest as it is.
    a, b = pair(working_set=10)
    postcopy.enable(a, b, "preempt", background=1 << 20)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    postcopy.wait_running(a, b)
    before = postcopy.requests(a)
    there = b.pmemsave(28 << 20, 1 << 20)
    assert any(there) and there == a.pmemsave(28 << 20, 1 << 20)
    assert postcopy.requests(a) - before >= 128
    postcopy.finish(a, b)
    workload.verify(b)


def test_both_sides_tell_how_it_went(pair):
    a, b = pair()
    info = postcopy.move(a, b, "preempt")
    assert a.qmp.statuses() == ["setup", "active", "device", "postcopy-device", "postcopy-active",
                                "completed"]
    assert b.qmp.statuses() == ["setup", "active", "postcopy-device", "postcopy-active",
                                "completed"]
    assert info["ram"]["postcopy-bytes"] > 0
    assert info["downtime"] < 2000
    a.qmp.wait_event("STOP")
    b.qmp.wait_event("RESUME")


def test_a_switch_that_comes_too_late_is_no_error(pair):
    a, b = pair(mem=8)
    postcopy.enable(a, b)
    migration.set_parameters(a, max_bandwidth=0)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
    migration.wait_moved(a, b)
    a.qmp.cmd("migrate-start-postcopy")
    workload.verify(b)
