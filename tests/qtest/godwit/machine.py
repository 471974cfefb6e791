# SPDX-License-Identifier: GPL-2.0-or-later
"""One VMM process: its command line, monitor, serial log and end."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from . import environment
from .guest import Guest
from .qmp import QMP, QMPClosed
from .serial import SerialFile, SerialSocket


class StartError(Exception):
    """The VMM did not come up; the message has its stderr."""


class Machine:
    """Files live in a short directory below /tmp: unix socket paths are limited, and a stock QEMU
    in a tree of its own shares /tmp with us."""

    def __init__(self, command=None, name="vm", machine="microvm", accel=None, mem="128M", cpus=1,
                 kernel=None, append="", incoming=None, serial="file", args=(), wrapper=(),
                 pass_fds=(), root=None):
        self.command = list(command or environment.godwit_bin())
        self.name = name
        self.cpus = cpus
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"gw-{name}-", dir=root or "/tmp"))
        self.process = self.qmp = self.serial = None
        self.accel = accel or (environment.accel() if not machine.startswith("none") else None)
        self.argv = [*wrapper, *self.command, "-M", machine, "-m", mem, "-name", name,
                     "-nodefaults", "-no-user-config", "-display", "none",
                     "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off"]
        if self.accel:
            self.argv += ["-accel", self.accel]
        if cpus != 1:
            self.argv += ["-smp", str(cpus)]
        if not machine.startswith("none") and serial:
            make = {"file": SerialFile, "socket": SerialSocket}[serial]
            self.serial = make(self.dir / "serial")
            self.argv += self.serial.argument()
        if kernel:
            self.argv += ["-kernel", str(self.copy(kernel)), "-append", append]
        if incoming:
            self.argv += ["-incoming", incoming]
        self.argv += [str(a) for a in args]
        self.pass_fds = pass_fds
        self.guest = Guest(self.serial, cpus, lambda: self.process.poll() is None)

    def copy(self, path):
        """A copy of a file where this VMM can read it."""
        target = self.dir / pathlib.Path(path).name
        if not target.exists():
            shutil.copy(path, target)
        return target

    def launch(self):
        """Starts the process without waiting for anything."""
        self.stderr_path = self.dir / "stderr"
        with open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=err,
                                            stderr=err, pass_fds=self.pass_fds)
        return self

    def start(self, timeout=60):
        self.launch()
        end = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(f"{self.dir}/qmp")
                self.qmp = QMP(sock)
                return self
            except (OSError, QMPClosed):
                sock.close()
            if ended or time.monotonic() > end:
                raise StartError(f"{' '.join(self.argv)}\n{self.stderr()}")
            time.sleep(0.005)

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_exit(self, timeout=60):
        """The exit status, once the process has ended by itself."""
        return self.process.wait(timeout)

    def run_state(self):
        return self.qmp.cmd("query-status")["status"]

    def wait_run_state(self, *states, timeout=60):
        end = time.monotonic() + timeout
        while (state := self.run_state()) not in states:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} is {state}, not {states}")
            time.sleep(0.005)
        return state

    def hmp(self, line):
        """The text that the human monitor answers."""
        return self.qmp.cmd("human-monitor-command", {"command-line": line}).replace("\r", "")

    def pmemsave(self, address, size):
        """The bytes of guest-physical memory."""
        path = self.dir / "pmem"
        self.qmp.cmd("pmemsave", {"val": address, "size": size, "filename": str(path)})
        data = path.read_bytes()
        path.unlink()
        return data

    def cpu_seconds(self):
        """User and system time of the process so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Ends the process, politely first, and removes its files."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thing in (self.qmp, self.serial):
            if thing:
                thing.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
