# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net: the guest sends frames of up to 9000 bytes to somebody who echoes them, and checks
every byte that comes back, while it moves."""
import os
import socket
import time

import pytest

from godwit import echo, environment, migration, postcopy, workload
from godwit.fixtures import echo_on_taps
from godwit.machine import StartError

pytestmark = pytest.mark.kvm

CARD = "virtio-net-device,netdev=n0"
MODERN = ["-global", "virtio-mmio.force-legacy=off"]
MAC = "52:54:00:12:34:56"


@pytest.fixture
def echoing(tmp_path):
    """A listening echo at /tmp (paths of sockets are short)."""
    path = f"/tmp/gw-echo-{os.getpid()}"
    server = echo.StreamEcho(path).start()
    server.args = ["-netdev", f"stream,id=n0,addr.type=unix,addr.path={path},server=off",
                   "-device", CARD]
    yield server
    server.close()
    os.unlink(path)


def guest(**options):
    return workload.guest(**{"net": 1, "mem": 4, "report": 50, **options})


def machine(machines, args, name="vm", incoming=None, **options):
    return machines(name=name, mem="64M", machine="microvm,acpi=off", args=args,
                    incoming=incoming, **guest(**options))


def wait_for(condition, what, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def check_echo(server):
    assert server.frames > 0
    assert server.wrong == 0


@pytest.mark.parametrize("layout", ["legacy", "modern"])
def test_a_guest_gets_its_frames_back(machines, echoing, layout):
    args = echoing.args + (MODERN if layout == "modern" else [])
    vm = machine(machines, args).start()
    seen = vm.guest.wait_net(200)
    assert seen["link"] == 1 and seen["interrupts"] & 1
    check_echo(echoing)


def test_small_buffers_and_no_merging(machines, echoing):
    """Frames that do not fit into one buffer are lost when the card cannot spread them."""
    echoing.args[-1] += ",mrg_rxbuf=off"
    vm = machine(machines, echoing.args).start()
    wait_for(lambda: echoing.frames > 30, "no frame came")
    lines = [r for r in vm.guest.records() if r["what"] == "net"]
    assert all(r["wrong"] == 0 for r in lines)


def test_frames_of_others_are_filtered(machines, echoing):
    vm = machine(machines, echoing.args).start()
    vm.guest.wait_net(10)

    def frame(to, tag=b""):
        return bytes.fromhex(to.replace(":", "")) + bytes(6) + tag + b"\x12\x34" + bytes(50)

    def strange():
        return [r for r in vm.guest.records() if r["what"] == "net"][-1]["strange"]

    for to in ("02:00:00:00:00:08", "01:00:5e:00:00:08"):
        echoing.send(0, frame(to))
    echoing.send(0, frame(MAC, b"\x81\x00\x00\x06"))       # a VLAN that was taken out again
    vm.guest.wait_net(20)
    assert strange() == 0
    # In the tables, to everybody, in a VLAN of the guest's: five that it wants.
    for to in ("02:00:00:00:00:09", "01:00:5e:00:00:07", "ff:ff:ff:ff:ff:ff"):
        echoing.send(0, frame(to))
    for tag in (b"\x81\x00\x00\x05", b"\x81\x00\x0f\xff"):
        echoing.send(0, frame(MAC, tag))
    wait_for(lambda: strange() == 5, f"{strange()} of 5 frames came")


def test_a_guest_moves_while_frames_fly(machines, echoing):
    """Some moves (GODWIT_REPEAT times as many); the echo serves whoever connects."""
    moves = 5 * postcopy.repeats()
    here = machine(machines, echoing.args).start()
    here.guest.wait_net(50)
    for hop in range(moves):
        there = machine(machines, echoing.args, f"hop{hop}", "defer").start()
        migration.set_parameters(there, announce_initial=0, announce_step=1)
        migration.migrate(here, there)
        there.guest.wait_net(50)
        here.close()
        here = there
    workload.verify(here)
    wait_for(lambda: {link for link, _ in echoing.announcements()} >= set(range(1, moves + 1)),
             f"announced only on {echoing.announcements()}")
    assert {mac for _, mac in echoing.announcements()} == {MAC}
    check_echo(echoing)


def test_a_guest_moves_by_postcopy_while_frames_fly(machines, echoing):
    here = machine(machines, echoing.args, mem=24, pattern="random").start()
    here.guest.wait_net(20)
    there = machine(machines, echoing.args, "dst", "defer", mem=24, pattern="random").start()
    postcopy.move(here, there, "preempt", "at once", least=1)
    there.guest.wait_net(50)
    workload.verify(there)
    check_echo(echoing)


def test_a_modern_guest_moves_and_its_filter_with_it(machines, echoing):
    here = machine(machines, echoing.args + MODERN).start()
    here.guest.wait_net(20)
    there = machine(machines, echoing.args + MODERN, "dst", "defer").start()
    migration.migrate(here, there)
    there.guest.wait_net(20)
    echoing.send(1, bytes.fromhex("020000000008") + bytes(60))
    assert there.guest.wait_net(20)["strange"] == 0


def test_the_guest_is_asked_to_announce_itself(machines, echoing):
    here = machine(machines, echoing.args).start()
    here.guest.wait_net(5)
    there = machine(machines, echoing.args, "dst", "defer").start()
    migration.set_parameters(there, announce_initial=0, announce_rounds=1)
    migration.migrate(here, there)
    wait_for(lambda: there.guest.wait_net(1)["announced"] == 1, "the guest did not hear of it")
    assert len(echoing.announcements()) == 1


def test_no_rounds_no_announcement(machines, echoing):
    here = machine(machines, echoing.args).start()
    here.guest.wait_net(5)
    there = machine(machines, echoing.args, "dst", "defer").start()
    migration.set_parameters(there, announce_initial=0, announce_rounds=0)
    migration.migrate(here, there)
    assert there.guest.wait_net(20)["announced"] == 0
    assert not echoing.announcements()


def test_announce_self_sends_what_is_asked_for(machines, echoing):
    vm = machine(machines, echoing.args).start()
    vm.guest.wait_net(5)
    assert not echoing.announcements()
    vm.qmp.cmd("announce-self", {"initial": 0, "max": 10, "rounds": 3, "step": 1})
    wait_for(lambda: len(echoing.announcements()) == 3, "not announced three times")
    vm.qmp.cmd("announce-self", {"initial": 0, "max": 0, "rounds": 5, "step": 0,
                                 "interfaces": ["other"]})
    assert vm.hmp("announce_self n0") == ""
    wait_for(lambda: len(echoing.announcements()) >= 4, "not announced for HMP")


def test_the_link_can_be_cut_and_mended(machines, echoing):
    vm = machine(machines, echoing.args).start()
    vm.guest.wait_net(5)
    vm.qmp.cmd("set_link", {"name": "n0", "up": False})
    wait_for(lambda: [r for r in vm.guest.records() if r["what"] == "net"][-1]["link"] == 0,
             "the guest did not see that the link is down")
    assert "link=down" in vm.hmp("info network")
    vm.hmp("set_link n0 on")
    wait_for(lambda: vm.guest.wait_net(20)["link"] == 1, "the link stays down")
    seen = [r for r in vm.guest.records() if r["what"] == "net"][-1]
    assert seen["again"] > 0 and seen["interrupts"] & 2
    assert "Device 'nope' not found" in vm.hmp("set_link nope on")


def test_datagrams(machines):
    """-netdev socket,udp= and -netdev dgram, one at each end of a move."""
    server = echo.PacketEcho()
    host = environment.loopback()
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    for s in socks:
        s.bind((host, 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks[2:]:
        s.close()  # theirs
    for s, port in zip(socks[:2], ports[2:]):
        server.add(s, (host, port))
    server.start()
    args = [["-netdev", f"socket,id=n0,udp={host}:{ports[0]},localaddr={host}:{ports[2]}"],
            ["-netdev", f"dgram,id=n0,remote.type=inet,remote.host={host},"
             f"remote.port={ports[1]},local.type=inet,local.host={host},"
             f"local.port={ports[3]}"]]
    try:
        here = machine(machines, args[0] + ["-device", CARD]).start()
        here.guest.wait_net(30)
        there = machine(machines, args[1] + ["-device", CARD], "dst", "defer").start()
        migration.migrate(here, there)
        there.guest.wait_net(30)
        check_echo(server)
        assert server.by_link[0] and server.by_link[1]
    finally:
        server.close()
        for s in socks:
            s.close()


def test_a_listening_socket_and_an_inherited_one(machines):
    server = echo.StreamEcho()
    host = environment.loopback()
    with socket.create_server((host, 0)) as s:
        port = s.getsockname()[1]
    vm = machine(machines, ["-netdev", f"socket,id=n0,listen={host}:{port}", "-device",
                            CARD]).start()
    assert "waiting on" in vm.hmp("info network")
    server.adopt(socket.create_connection((host, port)))
    server.start()
    vm.guest.wait_net(20)
    ours, theirs = socket.socketpair()
    there = machine(machines, ["-netdev", f"socket,id=n0,fd={theirs.fileno()}", "-device", CARD],
                    "dst", "defer")
    there.pass_fds = [theirs.fileno()]
    there.start()
    server.adopt(ours)
    os.write(server.wake[1], b"")
    migration.migrate(vm, there)
    there.guest.wait_net(20)
    server.close()
    theirs.close()


def test_a_client_connects_again(machines):
    path = f"/tmp/gw-again-{os.getpid()}"
    args = ["-netdev", f"stream,id=n0,addr.type=unix,addr.path={path},server=off,reconnect-ms=20",
            "-device", CARD]
    vm = machine(machines, args).start()
    for _ in range(2):
        server = echo.StreamEcho(path).start()
        vm.guest.wait_net(20)
        server.close()
        os.unlink(path)


@pytest.fixture
def taps():
    """Two tap interfaces with two queues each, and an echo on both."""
    with echo_on_taps(2, "gw") as made:
        yield made


def test_queues_of_a_tap(machines, taps):
    """Two queue pairs, on descriptors that were handed in; both carry frames after the move."""
    made, server = taps

    def vm(i, name, incoming=None):
        fds = ":".join(map(str, made[i].fds))
        v = machine(machines, ["-netdev", f"tap,id=n0,fds={fds}", "-device", CARD + ",mq=on"],
                    name, incoming, net_pairs=2)
        v.pass_fds = made[i].fds
        return v.start()

    here = vm(0, "src")
    assert here.guest.wait_net(50)["pairs"] == 2
    there = vm(1, "dst", "defer")
    migration.migrate(here, there)
    there.guest.wait_net(50)
    assert server.by_link[1] > 0 and server.wrong == 0


WRONG = {
    "a backend that is not there": (["-device", CARD], "can't find value 'n0'"),
    "no backend": (["-device", "virtio-net-device"], "netdev"),
    "a second card": (["-netdev", "socket,id=n0,listen=127.0.0.1:0", "-device", CARD, "-device",
                       CARD], "has a network card already"),
    "a bad address": (["-netdev", "socket,id=n0,listen=127.0.0.1:0", "-device",
                       CARD + ",mac=01:00:00:00:00:01"], "not the address of one station"),
    "the user's network": (["-netdev", "user,id=n0"], "passt"),
    "nobody listens": (["-netdev", "stream,id=n0,addr.type=unix,addr.path=/nonexistent"],
                       "can't connect to /nonexistent"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_message_says_what_is_wrong(machines, what):
    args, says = WRONG[what]
    with pytest.raises(StartError, match=says):
        machine(machines, args).start()


def test_another_backend_at_the_destination_is_refused(machines, taps, echoing):
    """The guest of a tap with virtio_net_hdr gets what no socket can give."""
    made, _ = taps
    here = machine(machines, ["-netdev", f"tap,id=n0,fds={':'.join(map(str, made[0].fds))}",
                              "-device", CARD])
    here.pass_fds = made[0].fds
    here.start()
    here.guest.wait_net(5)
    there = machine(machines, echoing.args, "dst", "defer").start()
    for vm in (here, there):
        migration.set_capabilities(vm, return_path=True)
    here.qmp.cmd("migrate", {"uri": migration.listen(there, f"unix:{there.dir}/migrate")})
    migration.wait_status(here, "failed")
    there.wait_exit()
    assert "max_pairs" in there.stderr() or "has_vnet_hdr" in there.stderr(), there.stderr()
    here.guest.wait_net(5)  # it goes on where it was


def test_a_frame_that_no_ring_holds_blocks_nothing(machines, echoing):
    vm = machine(machines, echoing.args).start()
    vm.guest.wait_net(10)
    echoing.send(0, bytes.fromhex(MAC.replace(":", "")) + bytes(65586))
    vm.guest.wait_net(50)
