# SPDX-License-Identifier: GPL-2.0-or-later
"""What need not be sent or kept: skip-zero-pages, zero-page-detection, xbzrle, x-ignore-shared,
release-ram. Each test fails if its feature is off; the targets' memory is never empty before."""
import pathlib
import random

import pytest

from godwit import migration, postcopy, workload
from godwit.qmp import QMPError

SIZE = 16 << 20
PAGE = 4096


def content(seed, zeros):
    rng = random.Random(seed)
    return b"".join(bytes(PAGE) if rng.random() < zeros else rng.randbytes(PAGE)
                    for _ in range(SIZE // PAGE))


SOURCE = content(1, zeros=0.8)
OTHER = content(2, zeros=0.1)


def memory(machines, name, data, share="off", path=None, **kw):
    """-M none, whose memory holds `data` at first, or is the file at `path`."""
    vm = machines(name=name, machine="none,memory-backend=ram", mem="16M", **kw)
    if path is None:
        path = vm.dir / "memory"
        path.write_bytes(data)
    vm.argv += ["-object", f"memory-backend-file,id=ram,mem-path={path},size=16M,share={share}"]
    return vm.start()


def skip(*vms):
    for vm in vms:
        migration.set_capabilities(vm, skip_zero_pages=True)


@pytest.fixture
def ends(machines):
    return (memory(machines, "src", SOURCE), memory(machines, "dst", OTHER, incoming="defer"))


def test_zero_pages_are_not_sent_and_the_targets_memory_is_cleared(ends):
    a, b = ends
    skip(a, b)
    info = migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == SOURCE
    ram = info["ram"]
    assert info["zero-target-agreed"] is True
    assert ram["duplicate"] == 0
    assert ram["skipped"] == sum(not any(SOURCE[at:at + PAGE]) for at in range(0, SIZE, PAGE))
    assert ram["transferred"] < ram["normal"] * (PAGE + 8) + 4096
    target = b.qmp.cmd("query-migrate")["zero-target"]
    assert target["cleared-pages"] == sum(any(OTHER[at:at + PAGE]) for at in range(0, SIZE, PAGE))
    assert "skipped=" in a.hmp("info migrate") and "Zero target:" in b.hmp("info migrate")


def test_a_destination_without_the_capability_gets_zero_pages(ends):
    a, b = ends
    skip(a)
    info = migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == SOURCE
    assert info["zero-target-agreed"] is False
    assert info["ram"]["skipped"] == 0 and info["ram"]["duplicate"] > 0
    assert "not agreed" in a.hmp("info migrate")


@pytest.mark.parametrize("uri", ["file:{}", "exec:cat {} {}"])
def test_a_saved_stream_says_that_zero_pages_are_left_out(ends, tmp_path, uri):
    a, b = ends
    path = tmp_path / "stream"
    skip(a)
    a.qmp.cmd("migrate", {"uri": uri.format(">" if "{} {}" in uri else path, path)})
    migration.wait_status(a, "completed")
    load = {"uri": uri.format("<", path) if "{} {}" in uri else uri.format(path),
            "exit-on-error": False}
    b.qmp.cmd("migrate-incoming", load)
    info = migration.wait_status(b, "failed", but=["completed"])
    assert "skip-zero-pages is off here" in info["error-desc"]
    skip(b)
    b.qmp.cmd("migrate-incoming", load)
    migration.wait_status(b, "completed")
    assert b.pmemsave(0, SIZE) == SOURCE
    assert a.qmp.cmd("query-migrate")["ram"]["skipped"] > 0


def test_a_target_that_was_restored_into_before(machines, ends, tmp_path):
    """The first stream breaks off at its end: all of its memory is there, and is somebody else's."""
    a, b = ends
    path = tmp_path / "stream"
    c = memory(machines, "before", OTHER)
    c.qmp.cmd("migrate", {"uri": f"file:{path}"})
    migration.wait_status(c, "completed")
    path.write_bytes(path.read_bytes()[:SIZE * 9 // 10])
    skip(a, b)
    b.qmp.cmd("migrate-incoming", {"uri": f"file:{path}", "exit-on-error": False})
    migration.wait_status(b, "failed", but=["completed"])
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == SOURCE


def test_a_running_guest_with_firmware_moves(pair):
    a, b = pair(fill="mixed")
    skip(a, b)
    migration.set_parameters(a, max_bandwidth=0)
    info = migration.migrate(a, b)
    assert info["ram"]["skipped"] > 0
    workload.verify(b)


def huge_pages_free():
    return int(next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                    if line.startswith("HugePages_Free")).split()[1])


@pytest.mark.kvm
@pytest.mark.parametrize("mode", ["vanilla", "preempt"])
@pytest.mark.parametrize("pages", ["4k", "huge"])
def test_the_switch_to_postcopy_in_the_first_pass(pair, mode, pages):
    args = ["-object", f"memory-backend-memfd,id=m,size=64M,hugetlb={'on' if pages == 'huge' else 'off'}",
            "-machine", "memory-backend=m"]
    if pages == "huge" and huge_pages_free() < 64:
        pytest.skip("no huge pages are reserved (sysctl vm.nr_hugepages=64)")
    a, b = pair(source=args, destination=args, fill="mixed")
    info = postcopy.move(a, b, mode, "mid-pass", extra=["skip-zero-pages"])
    assert info["ram"]["skipped"] > 0


def test_zero_page_detection_none_sends_every_page(ends):
    a, b = ends
    migration.set_parameters(a, zero_page_detection="none")
    ram = migration.migrate(a, b)["ram"]
    assert b.pmemsave(0, SIZE) == SOURCE
    assert (ram["duplicate"], ram["normal"]) == (0, SIZE // PAGE)
    with pytest.raises(QMPError, match="does not accept value 'bogus'"):
        migration.set_parameters(a, zero_page_detection="bogus")


def test_xbzrle_sends_changes_and_its_cache_can_change_its_size(pair):
    a, b = pair(mem=8, pattern="random", rate=0)
    migration.set_capabilities(a, xbzrle=True)
    with pytest.raises(QMPError, match="expects a power of two no less than the target page size"):
        migration.set_parameters(a, xbzrle_cache_size=5000)
    migration.set_parameters(a, max_bandwidth=16 << 20, downtime_limit=0)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    for size in (64 << 20, 4 << 20, 32 << 20):
        migration.set_parameters(a, xbzrle_cache_size=size)
        cache = {"pages": 0}
        start = a.qmp.cmd("query-migrate").get("xbzrle-cache", cache)["pages"]
        while cache["pages"] < start + 50:
            cache = migration.wait_status(a, "active", "setup").get("xbzrle-cache", cache)
        assert cache["cache-size"] == size
        # So that a pass of nothing but changes still gives the guest time for new ones.
        migration.set_parameters(a, max_bandwidth=512 << 10)
    migration.set_parameters(a, max_bandwidth=0, downtime_limit=2000)
    cache = migration.wait_moved(a, b)["xbzrle-cache"]
    assert cache["bytes"] < cache["pages"] * PAGE
    assert cache["cache-miss"] > 0
    assert f"XBZRLE: size={32 << 20}" in a.hmp("info migrate -a")
    workload.verify(b)


def test_ignore_shared_leaves_the_memory_to_the_file(machines):
    a = memory(machines, "src", SOURCE, share="on")
    b = memory(machines, "dst", None, share="on", path=a.dir / "memory", incoming="defer")
    for vm in (a, b):
        # With what clears the target's memory: not the file's.
        migration.set_capabilities(vm, x_ignore_shared=True, skip_zero_pages=True)
    ram = migration.migrate(a, b)["ram"]
    assert b.pmemsave(0, SIZE) == SOURCE
    assert (ram["normal"], ram["total"]) == (0, 0)
    with pytest.raises(QMPError, match="Postcopy is not compatible with ignore-shared"):
        migration.set_capabilities(a, postcopy_ram=True)


def anonymous_kib(vm):
    status = pathlib.Path(f"/proc/{vm.process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0])


@pytest.mark.parametrize("release", [False, True])
def test_release_ram_gives_the_memory_back(pair, release):
    a, b = pair()
    before = anonymous_kib(a)
    assert before > 32 << 10
    postcopy.move(a, b, "preempt", extra=["release-ram"] if release else [])
    assert (anonymous_kib(a) < before - (24 << 10)) == release


def test_release_ram_rules_recovery_out(pair):
    a, b = pair()
    postcopy.enable(a, b, extra=["release-ram"], background=1 << 20)
    postcopy.begin(a, migration.listen(b, "tcp:127.0.0.1:0"))
    postcopy.wait_running(a, b)
    a.qmp.cmd("migrate-pause")
    migration.wait_status(a, "postcopy-paused")
    with pytest.raises(QMPError, match="recovery cannot work when release-ram capability is set"):
        a.qmp.cmd("migrate", {"uri": "tcp:127.0.0.1:1", "resume": True})
