# SPDX-License-Identifier: GPL-2.0-or-later
"""-M none between godwit and stock QEMU: the content is equal byte for byte afterwards."""
import itertools
import random

import pytest

from godwit import environment, migration
from hops import switches

SIZE = 64 << 20
PAGE = 4096


def content():
    rng = random.Random(7)
    pages = [bytes(PAGE), rng.randbytes(PAGE), b"\xaa" * PAGE]
    return b"".join(rng.choice(pages) if rng.random() < 0.7 else rng.randbytes(PAGE)
                    for _ in range(SIZE // PAGE))


@pytest.fixture
def start(machines, tmp_path):
    data = content()
    path = tmp_path / "memory"
    path.write_bytes(data)

    def make(command, peer, name, first=False):
        kw = {"incoming": None if first else "defer"}
        vm = machines(command, name=name, machine="none,memory-backend=ram" if first else "none",
                      mem="64M", args=switches(command, peer), **kw)
        if first:
            memory = vm.copy(path)
            vm.argv += ["-object", f"memory-backend-file,id=ram,mem-path={memory},size=64M,"
                                   "share=off"]
        return vm.start()

    make.data = data
    return make


def test_content_from_godwit_to_stock(start, stock):
    a = start(environment.godwit_bin(), stock, "src", first=True)
    b = start(stock, None, "dst")
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == start.data


def test_content_from_stock_to_godwit(start, stock):
    a = start(stock, environment.godwit_bin(), "src", first=True)
    b = start(environment.godwit_bin(), None, "dst")
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == start.data


def test_content_over_several_hops(start, stock):
    ring = itertools.islice(itertools.cycle([environment.godwit_bin(), stock]), 6)
    commands = list(ring)
    here = start(commands[0], commands[1], "hop0", first=True)
    for hop, (command, peer) in enumerate(zip(commands[1:], [*commands[2:], None]), 1):
        there = start(command, peer, f"hop{hop}")
        migration.migrate(here, there)
        here.close()
        here = there
    assert here.pmemsave(0, SIZE) == start.data


@pytest.mark.parametrize("direction", ["out", "back"])
def test_content_with_the_return_path(start, stock, direction):
    ends = [environment.godwit_bin(), stock]
    if direction == "back":
        ends.reverse()
    a = start(ends[0], ends[1], "src", first=True)
    b = start(ends[1], None, "dst")
    for vm in (a, b):
        migration.set_capabilities(vm, return_path=True)
    migration.migrate(a, b)
    assert b.pmemsave(0, SIZE) == start.data
