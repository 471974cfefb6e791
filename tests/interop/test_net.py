# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with virtio-net moves between godwit and stock QEMU and back, while its frames fly: the
guest checks every byte that comes back, and its memory after each hop."""
import os

import pytest

from godwit import echo, environment, migration, workload
from godwit.fixtures import echo_on_taps
from hops import switches

pytestmark = pytest.mark.kvm

LAYOUTS = {"legacy": [], "modern": ["-global", "virtio-mmio.force-legacy=off"]}


def start(machines, command, peer, name, args, incoming="defer", **options):
    vm = machines(command, name=name, machine="microvm,acpi=off", mem="64M", incoming=incoming,
                  args=switches(command, peer) + args,
                  **workload.guest(accel="kvm", **{"net": 1, "mem": 4, "report": 50, **options}))
    return vm


def hop_on(here, there):
    migration.set_parameters(here, max_bandwidth=0)
    migration.migrate(here, there)
    seen = there.guest.wait_net(30)
    workload.verify(there)
    here.close()
    return seen


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_guest_with_a_card_moves_back_and_forth(machines, stock, layout):
    path = f"/tmp/gw-inet-{os.getpid()}"
    server = echo.StreamEcho(path).start()
    godwit = environment.godwit_bin()
    commands = [stock, godwit, stock, godwit][:4 if layout == "legacy" else 3]
    args = ["-netdev", f"stream,id=n0,addr.type=unix,addr.path={path},server=off",
            "-device", "virtio-net-device,netdev=n0", *LAYOUTS[layout]]
    try:
        here = start(machines, commands[0], commands[1], "hop0", args, None).start()
        here.guest.wait_net(30)
        for i, command in enumerate(commands[1:], 1):
            peer = commands[i + 1] if i + 1 < len(commands) else None
            there = start(machines, command, peer, f"hop{i}", args).start()
            assert hop_on(here, there)["link"] == 1
            here = there
        assert server.wrong == 0
        # The filter that the guest set on the first host holds on the last.
        server.send(len(server.links) - 1, bytes.fromhex("020000000008") + bytes(60))
        assert here.guest.wait_net(20)["strange"] == 0
    finally:
        server.close()
        os.unlink(path)


def test_a_card_with_two_queue_pairs_on_taps(machines):
    """Stock's own tap backends; offloads and virtio_net_hdr on both sides."""
    stock = environment.stock_qemu() or pytest.skip("no qemu-system-x86_64 here")
    godwit, here = environment.godwit_bin(), None
    with echo_on_taps(3, "gi") as (taps, server):
        for i, command in enumerate([stock, godwit, stock]):
            fds = taps[i].fds
            args = ["-netdev", f"tap,id=n0,fds={':'.join(map(str, fds))}",
                    "-device", "virtio-net-device,netdev=n0,mq=on"]
            there = start(machines, command, stock, f"hop{i}", args, "defer" if i else None,
                          net_pairs=2)
            there.pass_fds = fds
            there.start()
            seen = hop_on(here, there) if here else there.guest.wait_net(30)
            assert seen["pairs"] == 2
            here = there
        assert server.wrong == 0 and all(server.by_link[i] for i in range(3))
