# SPDX-License-Identifier: GPL-2.0-or-later
"""What need not be sent, between godwit and stock QEMU, both directions: zero pages, the unchanged
bytes of a page (xbzrle), a shared file's memory (x-ignore-shared); and validate-uuid, which shares
its section with the last."""
import random

import pytest

from godwit import environment, migration, workload
from hops import switches

SIZE = 16 << 20
PAGE = 4096
UUIDS = ["11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-aaaaaaaaaaaa"]

both_ways = pytest.mark.parametrize("direction", ["out", "back"])


@pytest.fixture
def ends(stock, direction):
    found = [environment.godwit_bin(), stock]
    return found if direction == "out" else found[::-1]


def content(seed, zeros):
    rng = random.Random(seed)
    return b"".join(bytes(PAGE) if rng.random() < zeros else rng.randbytes(PAGE)
                    for _ in range(SIZE // PAGE))


def none_machine(machines, command, name, memory, peer=None, args=(), share="off", **kw):
    """-M none whose memory is a file; `memory`: its path, or what a private one holds at first."""
    vm = machines(command, name=name, machine="none,memory-backend=ram", mem="16M",
                  args=[*args, *switches(command, peer)], **kw)
    path = memory
    if isinstance(memory, bytes):
        path = vm.dir / "memory"
        path.write_bytes(memory)
    vm.argv += ["-object", f"memory-backend-file,id=ram,mem-path={path},size=16M,share={share}"]
    return vm.start()


@both_ways
@pytest.mark.parametrize("return_path", [False, True])
def test_skip_zero_pages_falls_back_for_a_stock_peer(machines, ends, return_path):
    """The target's memory is full of something else: a page too few shows."""
    a = none_machine(machines, ends[0], "src", content(1, zeros=0.7), peer=ends[1])
    b = none_machine(machines, ends[1], "dst", content(2, zeros=0.1), incoming="defer")
    for vm in (a, b):
        migration.set_capabilities(vm, return_path=return_path)
        if not environment.is_stock(vm.command):
            migration.set_capabilities(vm, skip_zero_pages=True)
    info = migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == content(1, zeros=0.7)
    assert info["ram"]["duplicate"] > 0
    if not environment.is_stock(a.command):
        assert info["zero-target-agreed"] is False
        assert info["ram"]["skipped"] == 0


def test_stock_refuses_a_saved_stream_without_zero_pages(machines, stock):
    """Nobody can be asked: the stream says it, and who does not know it must not go on."""
    a = none_machine(machines, environment.godwit_bin(), "src", content(1, zeros=0.7), peer=stock)
    migration.set_capabilities(a, skip_zero_pages=True)
    stream = a.dir / "stream"
    a.qmp.cmd("migrate", {"uri": f"exec:cat > {stream}"})
    migration.wait_status(a, "completed")
    b = none_machine(machines, stock, "dst", content(2, zeros=0.1), incoming="defer")
    b.qmp.cmd("migrate-incoming", {"uri": f"exec:cat {stream}"})
    assert b.wait_exit() == 1
    assert "unknown capability skip-zero-pages" in b.stderr()


@both_ways
@pytest.mark.parametrize("detection", ["none", "legacy", "multifd"])
def test_zero_page_detection(machines, ends, detection):
    if environment.is_stock(ends[0]) and environment.version(tuple(ends[0])) < (9, 0):
        pytest.skip("this QEMU has no such parameter")
    a = none_machine(machines, ends[0], "src", content(1, zeros=0.7), peer=ends[1])
    b = none_machine(machines, ends[1], "dst", content(2, zeros=0.1), incoming="defer")
    migration.set_parameters(a, zero_page_detection=detection)
    ram = migration.migrate(a, b)["ram"]
    assert b.pmemsave(0, SIZE) == content(1, zeros=0.7)
    assert (ram["duplicate"] == 0) == (detection == "none")


@pytest.mark.kvm
@both_ways
def test_xbzrle(machines, ends):
    """A guest that changes a few bytes of each page, with time for several passes."""
    kw = dict(machine="microvm,pic=off,pit=off,rtc=off,acpi=off", mem="64M",
              **workload.guest(accel="kvm", mem=8, rate=0, pattern="random"))
    a = machines(ends[0], name="src", args=switches(*ends), **kw).start()
    b = machines(ends[1], name="dst", incoming="defer", **kw).start()
    workload.wait_ready(a)
    migration.set_capabilities(a, xbzrle=True)
    migration.set_parameters(a, max_bandwidth=16 << 20, downtime_limit=1)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    while a.qmp.cmd("query-migrate").get("xbzrle-cache", {}).get("pages", 0) < 20:
        migration.wait_status(a, "active", "setup")
    migration.set_parameters(a, max_bandwidth=0, downtime_limit=2000)
    info = migration.wait_moved(a, b)
    cache = info["xbzrle-cache"]
    assert cache["bytes"] < cache["pages"] * PAGE
    assert set(cache) == {"cache-size", "bytes", "pages", "cache-miss", "cache-miss-rate",
                          "encoding-rate", "overflow"}
    workload.verify(b)


@both_ways
def test_ignore_shared_leaves_the_memory_to_the_file(machines, ends):
    a = none_machine(machines, ends[0], "src", content(1, zeros=0.1), peer=ends[1], share="on")
    b = none_machine(machines, ends[1], "dst", a.dir / "memory", incoming="defer", share="on")
    for vm in (a, b):
        migration.set_capabilities(vm, x_ignore_shared=True)
    info = migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == content(1, zeros=0.1)
    assert info["ram"]["normal"] == 0
    assert info["ram"]["total"] == 0


@both_ways
@pytest.mark.parametrize("side", ["source", "destination"])
def test_ignore_shared_on_one_side_is_refused(machines, ends, side):
    a = none_machine(machines, ends[0], "src", bytes(SIZE), peer=ends[1], share="on")
    b = none_machine(machines, ends[1], "dst", bytes(SIZE), incoming="defer", share="on")
    migration.set_capabilities(a if side == "source" else b, x_ignore_shared=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    assert b.wait_exit() == 1
    assert "x-ignore-shared" in b.stderr()


@both_ways
@pytest.mark.parametrize("same", [True, False])
def test_validate_uuid(machines, ends, same):
    kw = dict(machine="none", mem="16M")
    a = machines(ends[0], name="src", args=["-uuid", UUIDS[0], *switches(*ends)], **kw).start()
    b = machines(ends[1], name="dst", args=["-uuid", UUIDS[0 if same else 1]], incoming="defer",
                 **kw).start()
    for vm in (a, b):
        migration.set_capabilities(vm, validate_uuid=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    if same:
        migration.wait_moved(a, b)
        return
    assert b.wait_exit() == 1
    assert UUIDS[0] in b.stderr()
