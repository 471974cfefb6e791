# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of the test guest (tests/guest/disk.c): an image, the arguments for it, waiting until the
guest has read all of it back, and comparing it with what the guest says that it wrote."""
import contextlib
import struct

from .guest import GuestFault, parse

MIB = 1 << 20
BLOCK = 4096
BLOCKS = 1024            # of a disk, as far as the guest looks
TABLE = BLOCKS * (4 + 1)  # bytes for each disk: generations, then what is in flight
ZEROED = 1 << 31         # in a generation
WORDS = (1 << 64) - 1


def image(path, size=MIB):
    """A sparse image at that path."""
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def arguments(path, layout="legacy", drive="", device="", n=0):
    """-drive and -device for one disk; `layout` is the transport's version."""
    return ["-global", f"virtio-mmio.force-legacy={'on' if layout == 'legacy' else 'off'}",
            "-drive", f"if=none,id=disk{n},format=raw,file={path}{drive}",
            "-device", f"virtio-blk-device,drive=disk{n}{device}"]


def records(machine):
    return [r for r in map(parse, machine.serial.lines()) if r and r["what"] == "disk"]


def check(record):
    bad = {k: record[k] for k in ("wrong", "errors", "strange", "stuck") if record[k]}
    if bad:
        raise GuestFault(f"the guest's disk: {bad} in {record}")
    return record


def wait_passes(machine, passes=1, timeout=120):
    """Until the guest, which says something for the first time after this call, has read the disks
    that often again and found every block right; its last word."""
    base = len(machine.serial.lines())
    first = []

    def ready(_):
        fresh = [r for r in map(parse, machine.serial.lines()[base:]) if r and r["what"] == "disk"]
        for r in fresh:
            check(r)
        first[:] = first or fresh[:1]
        # One pass more than asked for: the first began before.
        return first and fresh[-1]["passes"] > first[0]["passes"] + passes and fresh[-1]

    return machine.guest._wait(f"read its disk {passes} times", ready, timeout)


def _mix(x):
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & WORDS
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & WORDS
    return x ^ x >> 31


def content(disk, block, generation, seed=1):
    """The bytes of a block in its generation."""
    if not generation or generation & ZEROED:
        return bytes(BLOCK)
    start = _mix((seed + (disk << 56 | generation << 24 | block)) & WORDS)
    return struct.pack("<512Q", *((start + i) * 0x9e3779b97f4a7c15 & WORDS for i in range(512)))


def _what_it_is(have, disk, block, number, seed):
    """For the message: an older block, or a mixture."""
    number &= ~ZEROED
    known = {"zeroes": bytes(BLOCK), **{f"generation {n:#x}": content(disk, block, n, seed)
                                        for n in range(max(number - 50, 1), number + 2)}}
    whole = [name for name, data in known.items() if data == have]
    first = [next((name for name, data in known.items() if data[at:at + 512] ==
                   have[at:at + 512]), "something else") for at in range(0, BLOCK, 512)]
    return whole[0] if whole else f"by sector: {', '.join(first)}"


@contextlib.contextmanager
def standing_still(machine):
    machine.qmp.cmd("stop")
    yield
    machine.qmp.cmd("cont")


def compare(machine, paths, seed=1):
    """Stops the guest for it, and compares the images of its disks, byte by byte, with what it has
    written. A block with a write in its ring, which is not begun while the guest stands still, may be
    as it was before. The number of bytes that were compared."""
    address = records(machine)[-1]["table"]
    with standing_still(machine):
        tables = machine.pmemsave(address, TABLE * len(paths))
        images = [open(path, "rb").read() for path in paths]
    for disk, image_bytes in enumerate(images):
        generations = struct.unpack_from(f"<{BLOCKS}I", tables, TABLE * disk)
        in_flight = tables[TABLE * disk + 4 * BLOCKS:TABLE * (disk + 1)]
        for block in range(len(image_bytes) // BLOCK):
            have = image_bytes[block * BLOCK:(block + 1) * BLOCK]
            number = generations[block]
            right = have == content(disk, block, number, seed)
            if not right and in_flight[block]:
                before = (number & ~ZEROED) - 1
                right = have in (content(disk, block, before, seed), bytes(BLOCK))
            if not right:
                raise GuestFault(f"block {block} of disk {disk} on {machine.name} is not what the guest "
                                 f"wrote in generation {number:#x} (in flight: {in_flight[block]}), "
                                 f"but {_what_it_is(have, disk, block, number, seed)}")
    return sum(map(len, images))
