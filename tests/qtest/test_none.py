# SPDX-License-Identifier: GPL-2.0-or-later
"""-M none, a machine of memory alone: its content arrives byte for byte."""
import os
import random

import pytest

from godwit import migration

SIZE = 64 << 20
PAGE = 4096


def content(size=SIZE, seed=1):
    """Random pages, zero pages, pages of one byte, and pages that differ in one byte only."""
    rng = random.Random(seed)
    data = bytearray(size)
    for page in range(size // PAGE):
        at = page * PAGE
        kind = rng.randrange(6)
        if kind < 2:
            data[at:at + PAGE] = rng.randbytes(PAGE)
        elif kind == 2:
            data[at:at + PAGE] = bytes([rng.randrange(256)]) * PAGE
        elif kind == 3:
            data[at + rng.choice([0, 1, 2047, 4095])] = rng.randrange(1, 256)
    return bytes(data)


def backed(machines, name, path, size=SIZE, **kw):
    """Memory that starts as the file's content; the file itself stays as it is."""
    return machines(name=name, machine="none,memory-backend=ram", mem=f"{size >> 20}M", args=[
        "-object", f"memory-backend-file,id=ram,mem-path={path},size={size >> 20}M,share=off"],
        **kw)


@pytest.fixture
def filled(machines, tmp_path):
    def make(data=None):
        data = data or content()
        path = tmp_path / "memory"
        path.write_bytes(data)
        return backed(machines, "src", path, len(data)).start(), data
    return make


def test_all_content_arrives(filled, machines):
    a, data = filled()
    b = machines(name="dst", machine="none", mem="64M", incoming="defer").start()
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == data


def test_content_survives_several_hops(filled, machines):
    here, data = filled()
    for hop in range(5):
        there = machines(name=f"hop{hop}", machine="none", mem="64M", incoming="defer").start()
        migration.migrate(here, there)
        here = there
    assert here.pmemsave(0, SIZE) == data


def test_content_survives_a_file(filled, machines):
    a, data = filled()
    path = a.dir / "state"
    a.qmp.cmd("migrate", {"uri": f"file:{path}"})
    migration.wait_status(a, "completed")
    b = machines(name="dst", machine="none", mem="64M", incoming=f"file:{path}").start()
    migration.wait_status(b, "completed")
    assert b.pmemsave(0, SIZE) == data


def test_a_target_that_is_not_empty_ends_up_equal(filled, machines, tmp_path):
    a, data = filled()
    dirt = tmp_path / "dirt"
    dirt.write_bytes(os.urandom(SIZE))
    b = backed(machines, "dst", dirt, incoming="defer").start()
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == data


def test_zero_memory_costs_little_on_the_wire(machines):
    a = machines(name="src", machine="none", mem="512M").start()
    b = machines(name="dst", machine="none", mem="512M", incoming="defer").start()
    ram = migration.migrate(a, b)["ram"]
    assert ram["duplicate"] == (512 << 20) // PAGE
    assert ram["normal"] == 0
    assert ram["transferred"] < 4 << 20
    assert b.pmemsave(0, 512 << 20).count(0) == 512 << 20


def test_the_counters_add_up(filled, machines):
    a, data = filled()
    zero = sum(not any(data[i:i + PAGE]) for i in range(0, SIZE, PAGE))
    b = machines(name="dst", machine="none", mem="64M", incoming="defer").start()
    ram = migration.migrate(a, b)["ram"]
    assert (ram["duplicate"], ram["normal"]) == (zero, SIZE // PAGE - zero)
    assert ram["total"] == SIZE


def test_a_save_during_the_migration_reads_the_same(filled, machines):
    a, data = filled()
    b = machines(name="dst", machine="none", mem="64M", incoming="defer").start()
    migration.set_parameters(a, max_bandwidth=8 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(a, "active")
    assert a.pmemsave(0, SIZE) == data
    migration.set_parameters(a, max_bandwidth=0)
    migration.wait_moved(a, b)
    assert b.pmemsave(0, SIZE) == data
