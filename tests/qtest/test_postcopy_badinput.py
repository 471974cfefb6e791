# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that misbehaves in a postcopy: the VMM stays alive and answers, says what was wrong, and is
failed or paused by the rules: before the permission to run the guest is the source's, afterwards
both ends wait for a better connection, and then nothing is lost."""
import random
import re
import socket
import time

import pytest

from godwit import migration, postcopy, wire
from godwit.peers import FakeDestination, FakeSource

SIZE = 4 << 20
PAGE = wire.PAGE
CONTENT = random.Random(3).randbytes(SIZE)


# ---- a source by hand, godwit as the destination ----

@pytest.fixture
def destination(machines):
    """A maker of destinations that listen; their `uri` says where."""
    def make(*capabilities):
        vm = machines(name="dst", machine="none", mem="4M", incoming="defer",
                      args=["-trace", "postcopy_place_duplicate"]).start()
        postcopy.capabilities(vm, ["postcopy-ram", *capabilities])
        listen_again(vm)
        return vm
    return make


def listen_again(vm):
    vm.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0", "exit-on-error": False})
    vm.uri = postcopy.listening(vm)


def check_paused(vm, says=""):
    info = migration.wait_status(vm, "postcopy-paused")
    assert re.search(says, info["error-desc"]), info
    return info


def recover_by_hand(vm, content=CONTENT, preempt=False, before=None):
    """The rest over a new connection, as the destination asks for it; it has all then."""
    check_paused(vm)
    vm.qmp.cmd("migrate-recover", {"uri": "tcp:127.0.0.1:0"})
    if before:
        before(FakeSource(postcopy.listening(vm), SIZE))
    source = FakeSource(postcopy.listening(vm), SIZE)
    source.send(wire.command(wire.RECV_BITMAP, wire.string("ram")))
    have = source.wait(wire.RP_RECV_BITMAP)
    if preempt:
        source.connect()
    source.send(wire.command(wire.RESUME))
    source.wait(wire.RESUME_ACK, wire.be("I", 1))
    skip = {n for n in range(SIZE // PAGE) if have[n // 8] >> n % 8 & 1}
    finish_by_hand(vm, source, content, skip)


def finish_by_hand(vm, source, content=CONTENT, skip=()):
    source.send(source.pages(content, skip), *source.ending())
    source.wait(wire.SHUT, wire.be("I", 0))
    migration.wait_status(vm, "completed")
    vm.wait_run_state("running")
    assert vm.pmemsave(0, SIZE) == content
    source.close()


@pytest.mark.parametrize("preempt", [False, True], ids=["vanilla", "preempt"])
def test_a_source_by_hand_is_accepted(destination, preempt):
    vm = destination(*["postcopy-preempt"] * preempt)
    source = FakeSource(vm.uri, SIZE)
    source.start(preempt)
    vm.wait_run_state("running")
    finish_by_hand(vm, source)


@pytest.mark.parametrize("preempt", [False, True], ids=["vanilla", "preempt"])
def test_a_request_names_the_page_and_the_page_ends_the_wait(destination, preempt):
    vm = destination(*["postcopy-preempt"] * preempt)
    source = FakeSource(vm.uri, SIZE)
    urgent = source.start(preempt)
    path = vm.dir / "page"
    vm.qmp.send_raw(b'{"execute": "pmemsave", "arguments": {"val": 1048576, "size": 4096, '
                    b'"filename": "%s"}}\n' % str(path).encode())
    assert source.wait(wire.REQ_PAGES_ID) == wire.be("QI", 1 << 20, PAGE) + wire.string("ram")
    record = wire.page(1 << 20, CONTENT[1 << 20:][:PAGE], "ram")
    if preempt:
        urgent.sendall(record)
    else:
        source.send(wire.part(record))
    while "event" in (reply := vm.qmp.read(20)):
        pass
    assert reply == {"return": {}}
    assert path.read_bytes() == CONTENT[1 << 20:][:PAGE]
    finish_by_hand(vm, source, skip={256})


# Bytes on the main or the preempt channel, and what the error says of them.
BAD_RECORDS = {
    "unknown block": (wire.page(0, bytes(PAGE), "bogus"), "bogus"),
    "empty block name": (wire.be("Q", wire.NORMAL) + b"\0" + bytes(PAGE), "block"),
    "past the end": (wire.page(SIZE, bytes(PAGE), "ram"), "offset|0x?400000"),
    "far past the end": (wire.page(1 << 62, bytes(PAGE), "ram"), "offset|0x?4000000000000000"),
    "unknown flags": (wire.be("Q", 0x88) + b"\x03ram" + bytes(PAGE), "flags"),
    "a block list": (wire.be("Q", SIZE | wire.MEM_SIZE) + b"\x03ram" + wire.be("Q", SIZE), "flags"),
    "xbzrle": (wire.be("Q", 0x40) + b"\x03ram" + b"\x01\0\x03\0\x01/", "flags"),
    "a zero page that is not": (wire.be("Q", wire.ZERO) + b"\x03ram\x01", "zero page"),
}


@pytest.mark.parametrize("channel", ["main", "preempt"])
@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_page_pauses_and_the_rest_comes_later(destination, name, channel):
    record, says = BAD_RECORDS[name]
    preempt = channel == "preempt"
    vm = destination(*["postcopy-preempt"] * preempt)
    source = FakeSource(vm.uri, SIZE)
    urgent = source.start(preempt)
    good = wire.page(5 * PAGE, CONTENT[5 * PAGE:6 * PAGE], "ram")
    if preempt:
        urgent.sendall(good + record)
    else:
        source.send(wire.part(good, record))
    check_paused(vm, says)
    vm.wait_run_state("running")
    source.close()
    recover_by_hand(vm, preempt=preempt)


@pytest.mark.parametrize("words", [wire.page(0, bytes(PAGE)), b"GET / HTTP/1.0\r\n\r\n", None],
                         ids=["names no block", "talks", "hangs up"])
def test_a_preempt_channel_that_never_was_one_pauses(destination, words):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    source.send(*source.opening())
    source.wait(wire.PONG, wire.be("I", 1))
    stranger(source, words)
    source.send(*source.handover())
    check_paused(vm, "preempt: no connection is left: it")
    source.close()
    recover_by_hand(vm, preempt=True)


def test_a_page_that_nobody_asked_for_or_that_comes_twice(destination):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    urgent = source.start(True)
    first = [wire.page(n * PAGE, CONTENT[n * PAGE:][:PAGE], "ram") for n in range(8)]
    again = [wire.page(n * PAGE, b"\xaa" * PAGE, "ram") for n in range(8)]
    urgent.sendall(b"".join(first))
    source.send(wire.part())
    while vm.pmemsave(7 * PAGE, PAGE) != CONTENT[7 * PAGE:8 * PAGE]:
        pass
    # The guest may have written to them since: what comes a second time must not undo that.
    urgent.sendall(b"".join(again))
    source.send(wire.part(*again))
    finish_by_hand(vm, source, skip=range(8))
    assert "postcopy_place_duplicate" in vm.stderr()


BAD_COMMANDS = {
    "advise again": (wire.advise(), "ADVISE"),
    "discard": (wire.discard("ram", 0, SIZE), "DISCARD"),
    "listen": (wire.command(wire.LISTEN), "LISTEN"),
    "run": (wire.command(wire.RUN), "RUN"),
    "a package": (wire.package(wire.command(wire.LISTEN), wire.command(wire.RUN)), "PACKAGED"),
    "resume": (wire.command(wire.RESUME), "RESUME"),
    "bitmap of an unknown block": (wire.command(wire.RECV_BITMAP, wire.string("bogus")), "bogus"),
    "bitmap of a block without a name": (wire.command(wire.RECV_BITMAP, b"\0"), "RECV_BITMAP"),
    "a command of the future": (wire.command(77), "77|0x4d"),
    "another start": (wire.ram_start("ram", SIZE), ""),
    "a section that was not begun": (wire.part().replace(b"\0\0\0\x01", b"\0\0\0\x07"), "7"),
    "garbage": (b"\x55" * 64, "55|85"),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_a_command_at_the_wrong_time_pauses(destination, name):
    element, says = BAD_COMMANDS[name]
    vm = destination()
    source = FakeSource(vm.uri, SIZE)
    source.start()
    source.send(element)
    check_paused(vm, says)
    source.close()
    recover_by_hand(vm)


BAD_HANDOVERS = {
    "discard of nothing": [wire.discard("ram", 0, 0)],
    "discard past the end": [wire.discard("ram", 0, SIZE + PAGE)],
    "discard that wraps": [wire.discard("ram", (1 << 64) - PAGE, 2 * PAGE)],
    "discard of half a page": [wire.discard("ram", 0, 2048)],
    "discard of an unknown block": [wire.discard("bogus", 0, PAGE)],
    "discard cut short": [wire.command(wire.DISCARD, b"\0\x03ram\0" + bytes(12))],
    "listen outside of a package": [wire.command(wire.LISTEN)],
    "run without listen": [wire.package(wire.command(wire.RUN))],
    "resume without a pause": [wire.command(wire.RESUME)],
    "listen twice": [wire.package(wire.command(wire.LISTEN), wire.command(wire.LISTEN))],
    "a package in a package": [wire.package(wire.package(wire.command(wire.LISTEN)))],
    "a package without run": [wire.package(wire.command(wire.LISTEN))],
    "an empty package": [wire.package()],
    "a package of 4 GiB": [wire.command(wire.PACKAGED, b"\xff" * 4) + bytes(1024)],
    "an unknown device": [wire.package(wire.command(wire.LISTEN), b"\x04" + wire.be("I", 9)
                                       + wire.string("bogus") + wire.be("II", 0, 1))],
    "the end in the package": [wire.package(wire.command(wire.LISTEN), b"\0")],
}


@pytest.mark.parametrize("name", BAD_HANDOVERS)
def test_a_bad_handover_fails_and_the_guest_does_not_run(destination, name):
    vm = destination()
    source = FakeSource(vm.uri, SIZE)
    source.send(*source.opening())
    source.wait(wire.PONG, wire.be("I", 1))
    source.send(*BAD_HANDOVERS[name])
    source.main.shutdown(socket.SHUT_WR)
    source.wait(wire.SHUT, wire.be("I", 1))
    info = migration.wait_status(vm, "failed", but=["completed"])
    assert info["error-desc"]
    assert vm.run_state() == "inmigrate"
    listen_again(vm)
    source = FakeSource(vm.uri, SIZE)
    source.start()
    finish_by_hand(vm, source)


def test_a_source_that_goes_away_between_any_two_messages(destination):
    vm = destination("postcopy-preempt")
    probe = FakeSource.__new__(FakeSource)
    probe.size = SIZE
    elements = [*probe.opening(), *probe.handover(), wire.part(), *probe.ending()]
    run_at = len(probe.opening()) + 4  # with this many elements the permission to run has come
    for count in range(1, len(elements) - 1):
        source = FakeSource(vm.uri, SIZE)
        source.send(*elements[:min(count, 5)])
        if count > 5:
            source.wait(wire.PONG, wire.be("I", 1))
            urgent = source.connect()
            source.send(*elements[5:count])
        if count >= run_at:
            source.wait(wire.PONG, wire.be("I", 0x42))
            source.close()
            urgent.close()
            recover_by_hand(vm, preempt=True)
            vm.close()
            vm = destination("postcopy-preempt")
        else:
            source.close()
            info = migration.wait_status(vm, "failed", but=["completed", "postcopy-paused"])
            assert info["error-desc"] and vm.run_state() == "inmigrate", (count, info)
            listen_again(vm)


def test_a_source_that_goes_away_in_the_middle_of_a_message(destination):
    rng = random.Random(seed := random.randrange(1 << 32))
    print(f"seed {seed}")
    vm = destination()
    probe = FakeSource.__new__(FakeSource)
    probe.size = SIZE
    before = b"".join([*probe.opening(), *probe.handover()[:-2]])
    package = probe.handover()[3]
    for _ in range(20 * postcopy.repeats()):
        source = FakeSource(vm.uri, SIZE)
        stream = before + package
        source.send(stream[:rng.randrange(1, len(stream))])
        source.main.shutdown(socket.SHUT_WR)
        info = migration.wait_status(vm, "failed", but=["completed", "postcopy-paused"])
        assert info["error-desc"] and vm.run_state() == "inmigrate", info
        source.close()
        listen_again(vm)
    source = FakeSource(vm.uri, SIZE)
    source.start()
    finish_by_hand(vm, source)


STRANGERS = {
    "says nothing": b"",
    "talks": b"GET / HTTP/1.0\r\n\r\n",
    "speaks of an unknown block": wire.page(0, bytes(PAGE), "bogus"),
    "speaks of a page past the end": wire.page(SIZE, bytes(PAGE), "ram"),
    "goes on where nobody began": wire.page(0, bytes(PAGE)),
    "hangs up": None,
}


def stranger(source, words):
    """One that connects beside the source."""
    s = source.connect()
    if words is None:
        s.shutdown(socket.SHUT_RDWR)
    else:
        s.sendall(words)
    return s


def check_urgent(vm, source, urgent):
    """A page comes on the preempt channel although others knocked at the door."""
    urgent.sendall(wire.page(0, CONTENT[:PAGE], "ram"))
    assert vm.pmemsave(0, PAGE) == CONTENT[:PAGE]
    finish_by_hand(vm, source, skip={0})


@pytest.mark.parametrize("when, who", [
    *(("in its place", who) for who in STRANGERS), ("before its time", "says nothing"),
    ("before its time", "talks"), ("beside it", "says nothing"), ("beside it", "talks")])
def test_a_stranger_on_the_preempt_channel_does_no_harm(destination, when, who):
    words = STRANGERS[who]
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    source.send(source.opening()[0])
    if when == "before its time":
        stranger(source, words)
    source.send(*source.opening()[1:])
    source.wait(wire.PONG, wire.be("I", 1))
    if when == "in its place":
        stranger(source, words)
    urgent = source.connect()
    source.send(*source.handover())
    if when == "beside it":
        stranger(source, words)
    source.wait(wire.PONG, wire.be("I", 0x42))
    check_urgent(vm, source, urgent)


def test_a_preempt_connection_from_elsewhere_is_refused(destination):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    source.send(*source.opening())
    source.wait(wire.PONG, wire.be("I", 1))
    elsewhere = source.connect(("127.0.0.2", 0))
    urgent = source.connect()
    source.send(*source.handover())
    source.wait(wire.PONG, wire.be("I", 0x42))
    assert elsewhere.recv(1) == b""
    check_urgent(vm, source, urgent)


def test_a_second_preempt_connection_is_one_too_many(destination):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    urgent = source.start(True)
    again = source.connect()
    for n in (5, 6):
        urgent.sendall(wire.page(n * PAGE, CONTENT[n * PAGE:(n + 1) * PAGE], "ram"))
        assert vm.pmemsave(n * PAGE, PAGE) == CONTENT[n * PAGE:(n + 1) * PAGE]
        if n == 5:
            try:
                again.sendall(wire.page(0, b"\x55" * PAGE, "ram"))
            except OSError:
                pass
    finish_by_hand(vm, source, skip={5, 6})


@pytest.mark.parametrize("words", [*STRANGERS.values(), wire.be("I", 0x11223344)],
                         ids=[*STRANGERS, "is another channel"])
def test_a_stranger_on_the_main_channel_does_no_harm(destination, words):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    stranger(source, words)
    source.close()
    source = FakeSource(vm.uri, SIZE)
    urgent = source.start(True)
    check_urgent(vm, source, urgent)


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.0\r\n\r\n", wire.header(), None],
                         ids=["says nothing", "talks", "begins anew", "hangs up"])
def test_a_stranger_in_a_recovery_does_no_harm(destination, words):
    vm = destination("postcopy-preempt")
    source = FakeSource(vm.uri, SIZE)
    source.start(True)
    source.close()
    recover_by_hand(vm, preempt=True, before=lambda source: stranger(source, words))


# ---- godwit as the source, a destination by hand ----

@pytest.fixture
def source(machines, tmp_path):
    """A maker of sources whose memory is CONTENT, with a migration to a FakeDestination begun."""
    peers = []

    def make(*capabilities, handover=True, **kw):
        path = tmp_path / "memory"
        path.write_bytes(CONTENT)
        vm = machines(name="src", machine="none,memory-backend=ram", mem="4M", args=[
            "-object", f"memory-backend-file,id=ram,mem-path={path},size=4M,share=off"]).start()
        postcopy.capabilities(vm, ["postcopy-ram", *capabilities])
        migration.set_parameters(vm, max_bandwidth=1 << 20, max_postcopy_bandwidth=1 << 20)
        vm.peer = FakeDestination(**kw)
        peers.append(vm.peer)
        vm.qmp.cmd("migrate", {"uri": vm.peer.uri})
        if handover:
            vm.qmp.cmd("migrate-start-postcopy")
            migration.wait_status(vm, "postcopy-active")
            if "postcopy-preempt" in capabilities:
                vm.peer.wait_preempt()
        return vm

    yield make
    for peer in peers:
        peer.close()


def take_the_rest(vm, peer):
    """Everything that is missing; the source is told so and completes."""
    migration.set_parameters(vm, max_postcopy_bandwidth=0)
    peer.wait(peer.ended.is_set, "the end of the stream")
    peer.send(wire.message(wire.SHUT, wire.be("I", 0)))
    migration.wait_status(vm, "completed")
    assert vm.run_state() == "postmigrate"
    peer.wait_read()
    assert b"".join(peer.pages[n] for n in sorted(peer.pages)) == CONTENT
    assert peer.twice == 0


def resume(vm, peer):
    """A better destination asks the paused source for what is missing."""
    check_paused(vm)
    assert vm.run_state() != "running"
    peer.drop()
    peer.take_over()
    vm.qmp.cmd("migrate", {"uri": peer.uri, "resume": True})
    peer.wait_command(wire.RECV_BITMAP)
    peer.send(wire.bitmap("ram", [n // PAGE for n in peer.pages], SIZE))
    peer.wait_command(wire.RESUME)
    peer.send(wire.message(wire.RESUME_ACK, wire.be("I", 1)))
    migration.wait_status(vm, "postcopy-active", "completed")


@pytest.mark.parametrize("preempt", [False, True], ids=["vanilla", "preempt"])
def test_a_destination_by_hand_gets_what_it_asks_for(source, preempt):
    vm = source(*["postcopy-preempt"] * preempt)
    last = SIZE - PAGE
    vm.peer.send(wire.request(last, PAGE, "ram"))
    assert vm.peer.wait_page(last, urgent=preempt) == CONTENT[last:]
    vm.peer.send(wire.request(2 << 20, 4 * PAGE))
    for n in range(4):
        vm.peer.wait_page((2 << 20) + n * PAGE, urgent=preempt)
    # Again, and of pages that were sent long ago: no answer is due.
    vm.peer.send(wire.request(last, PAGE) * 100 + wire.request(2 << 20, 4 * PAGE))
    take_the_rest(vm, vm.peer)


BAD_MESSAGES = {
    "unknown block": (wire.request(0, PAGE, "bogus"), "bogus"),
    "block without a name": (wire.message(wire.REQ_PAGES_ID, wire.be("QI", 0, PAGE) + b"\0"), "length"),
    "name longer than the message": (wire.message(wire.REQ_PAGES_ID, wire.be("QI", 0, PAGE) + b"\xffram"),
                                     "length"),
    "no block named before": (wire.request(0, PAGE), "REQ_PAGES_ID"),
    "unaligned": (wire.request(100, PAGE, "ram"), "host page"),
    "half a page": (wire.request(0, 2048, "ram"), "host page"),
    "nothing": (wire.request(0, 0, "ram"), "host page"),
    "past the end": (wire.request(SIZE, PAGE, "ram"), "past the end"),
    "longer than the block": (wire.request(SIZE - PAGE, 2 * PAGE, "ram"), "past the end"),
    "far past the end": (wire.request((1 << 64) - PAGE, PAGE, "ram"), "past the end"),
    "4 GiB": (wire.request(0, 0xfffff000, "ram"), "past the end"),
    "message 0": (wire.message(0), "invalid message"),
    "a message of the future": (wire.message(9), "invalid message"),
    "a long message": (wire.message(wire.REQ_PAGES_ID, bytes(600)), "invalid message"),
    "a PONG of 8 bytes": (wire.message(wire.PONG, bytes(8)), "length"),
    "a bitmap that nobody asked for": (wire.bitmap("ram", [], SIZE), "not asked"),
    "RESUME_ACK": (wire.message(wire.RESUME_ACK, wire.be("I", 1)), "RESUME_ACK"),
    "SHUT 0 too early": (wire.message(wire.SHUT, wire.be("I", 0)), "SHUT"),
    "SHUT 1": (wire.message(wire.SHUT, wire.be("I", 1)), "SHUT"),
    "garbage": (b"\xa5" * 4096, "invalid message"),
    "a broken pipe": (None, ""),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_pauses_the_source_and_costs_no_page(source, name):
    data, says = BAD_MESSAGES[name]
    preempt = list(BAD_MESSAGES).index(name) % 2 == 0
    vm = source(*["postcopy-preempt"] * preempt)
    if data is None:
        vm.peer.drop()
    else:
        vm.peer.send(data)
    check_paused(vm, says)
    resume(vm, vm.peer)
    take_the_rest(vm, vm.peer)


@pytest.mark.parametrize("preempt", [False, True], ids=["vanilla", "preempt"])
def test_a_flood_of_requests_is_survived(source, preempt):
    vm = source(*["postcopy-preempt"] * preempt)
    pages = list(range(SIZE // PAGE)) * 20
    random.Random(1).shuffle(pages)
    vm.peer.send(wire.request(0, PAGE, "ram") + b"".join(wire.request(n * PAGE, PAGE) for n in pages))
    end = time.monotonic() + 30
    while not vm.peer.ended.is_set() and migration.status(vm) != "postcopy-paused":
        assert time.monotonic() < end, migration.status(vm)
        time.sleep(0.005)
    if not vm.peer.ended.is_set():
        resume(vm, vm.peer)
    take_the_rest(vm, vm.peer)


BAD_BITMAPS = {
    "of an unknown block": (wire.bitmap("bogus", [], SIZE), "bogus"),
    "too long": (wire.bitmap("ram", [], 2 * SIZE), "bytes instead"),
    "too short": (wire.bitmap("ram", [], SIZE // 2), "bytes instead"),
    "of 16 EiB": (wire.message(wire.RP_RECV_BITMAP, b"\x03ram") + b"\xff" * 8, "bytes instead"),
    "without its end mark": (wire.bitmap("ram", [], SIZE, mark=1), "mark"),
    "cut short": (wire.bitmap("ram", [], SIZE)[:-40], ""),
    "never": (b"", ""),
}


@pytest.mark.parametrize("name", BAD_BITMAPS)
def test_a_bad_bitmap_pauses_again(source, name):
    data, says = BAD_BITMAPS[name]
    vm = source()
    peer = vm.peer
    peer.drop()
    check_paused(vm)
    peer.take_over()
    vm.qmp.cmd("migrate", {"uri": peer.uri, "resume": True})
    peer.wait_command(wire.RECV_BITMAP)
    peer.send(data)
    if name in ("cut short", "never"):
        peer.drop()
    check_paused(vm, says)
    resume(vm, peer)
    take_the_rest(vm, peer)


def test_a_request_before_the_postcopy_fails_the_migration_and_the_guest_stays(source):
    vm = source(handover=False)
    vm.peer.wait_command(wire.ADVISE)
    vm.peer.send(wire.request(0, PAGE, "ram"))
    info = migration.wait_status(vm, "failed", but=["completed"])
    assert "not in postcopy" in info["error-desc"]
    vm.wait_run_state("running")


@pytest.mark.parametrize("preempt", [False, True], ids=["vanilla", "preempt"])
def test_a_destination_that_goes_away_before_the_postcopy(source, preempt):
    vm = source(*["postcopy-preempt"] * preempt, handover=False)
    vm.peer.wait_command(wire.ADVISE)
    vm.qmp.cmd("migrate-start-postcopy")
    vm.peer.drop()
    status = postcopy.wait_rest(vm)
    if status == "failed":
        vm.wait_run_state("running")
    else:  # the package was out already
        assert status == "postcopy-paused" and vm.run_state() != "running"


def test_a_destination_that_does_not_answer_can_be_cancelled(source):
    vm = source("postcopy-preempt", handover=False, answer=False)
    vm.peer.wait_command(wire.ADVISE)
    vm.qmp.cmd("migrate-start-postcopy")
    time.sleep(0.1)
    vm.qmp.cmd("migrate_cancel")
    migration.wait_status(vm, "cancelled")
    vm.wait_run_state("running")


def test_a_destination_that_declines_the_package_gives_the_guest_back(source):
    vm = source(handover=False, answer=False)
    vm.qmp.cmd("migrate-start-postcopy")
    vm.peer.wait_command(wire.PACKAGED)
    vm.peer.send(wire.message(wire.SHUT, wire.be("I", 1)))
    vm.peer.drop()
    info = migration.wait_status(vm, "failed", but=["completed", "postcopy-paused"])
    assert info["error-desc"]
    vm.wait_run_state("running")


def test_a_destination_that_stops_reading_does_not_stop_the_monitor(source):
    vm = source("postcopy-preempt")
    migration.set_parameters(vm, max_postcopy_bandwidth=0)
    vm.qmp.cmd("migrate-pause")
    resume(vm, vm.peer)
    take_the_rest(vm, vm.peer)
