# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that drives two disks, a network card and, by interrupts, virtio-rng at once, and idle
devices beside them: what its machine needs, and the checks after a move. Every byte is checked: by the guest what it reads and
what comes back to it, from outside what it sends (echo.py) and what is in the images (disk.py)."""
import os
import re
import tempfile

from . import disk, echo, environment, migration, postcopy, rng, workload

BOARD = "microvm,acpi=off,pic=off,pit=off,rtc=off"
OTHERS = ["-device", "virtio-rng-device", "-device", "virtio-balloon-device", "-device",
          "virtio-serial-device", "-device", "virtconsole,chardev=console", "-chardev",
          "null,id=console"]
DEVICES = 6  # on the board, two disks and the card among them
BATCH = re.compile(r"loadvm_batch (\d+) sections in one transaction")
TRACE = ["-trace", "loadvm_batch"]  # for godwit's ends: move() looks at it


class Traffic:
    """Images and the echo, which serve all machines that the guest comes to. They lie below /tmp,
    which a stock QEMU in a tree of its own shares."""

    def __init__(self, layout="modern", others=OTHERS):
        self.folder = tempfile.TemporaryDirectory(prefix="gw-traffic-", dir="/tmp")
        self.images = [disk.image(f"{self.folder.name}/disk{n}") for n in range(2)]
        self.echo = echo.StreamEcho(f"{self.folder.name}/echo").start()
        self.layout, self.others = layout, others
        self.last = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.echo.close()
        self.folder.cleanup()

    def arguments(self):
        return [*disk.arguments(self.images[0], self.layout, device=",serial=one"),
                *disk.arguments(self.images[1], self.layout, ",cache=none", ",num-queues=4", 1),
                "-netdev", f"stream,id=n0,addr.type=unix,addr.path={self.folder.name}/echo,"
                "server=off", "-device", "virtio-net-device,netdev=n0", *self.others]

    def machine(self, args=(), **options):
        """Arguments for Machine(); options go to the guest."""
        return dict(machine=BOARD, mem="64M", args=[*self.arguments(), *args], serial="socket",
                    **workload.guest(accel="kvm", **{"mem": 8, "disk": 8, "net": 1, "rng": 1,
                                                     "report": 50, "sweep": 0, **options}))

    def check(self, machine, passes=1, frames=30):
        """Until the guest here has read all of its disks again, has so many frames back and has
        looked through its memory; then the images are compared with what it wrote. What was
        verified since the last check."""
        disk.wait_passes(machine, passes)
        net = machine.guest.wait_net(frames)
        rng.wait_answers(machine)
        pages = workload.verify(machine)[0]
        compared = disk.compare(machine, self.images)
        assert self.echo.wrong == 0, f"{self.echo.wrong} frames of the guest came out wrong"
        last = disk.records(machine)[-1]
        assert last["id"] == "one"
        now = {"blocks read": last["verified"], "frames echoed": net["echoed"],
               "MB echoed": net["bytes"] // 1000000}
        fresh = {k: v - self.last.get(k, 0) for k, v in now.items()}
        self.last = now
        return {**fresh, "pages read": pages, "MB of images compared": compared // 1000000}

    def forget(self):
        """The next guest is a new one, on blank disks."""
        self.last = {}
        for path in self.images:
            os.unlink(path)
            disk.image(path)


def move(here, there, way, batched, background=postcopy.BACKGROUND):
    """One whole move by precopy, or by a postcopy of that mode; `there`, which
    traces with TRACE, loads its devices in one transaction or one after the other. The source's
    reply."""
    stock = environment.is_stock(there.command)
    if not stock:
        migration.set_capabilities(there, batch_vmstate_load=batched)
    if way == "precopy":
        migration.set_parameters(here, max_bandwidth=0)
        info = migration.migrate(here, there)
    else:
        postcopy.enable(here, there, way, background=background)
        postcopy.begin(here, migration.listen(there, f"unix:{there.dir}/migrate"))
        postcopy.wait_running(here, there)
        info = postcopy.finish(here, there)
        assert info["ram"]["postcopy-bytes"] > 0, f"no memory followed the guest: {info}"
    sizes = BATCH.findall(there.stderr())
    assert len(sizes) == (batched and not stock) and all(int(n) >= DEVICES for n in sizes), sizes
    return info
