# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of a given speed on one machine: two network namespaces, a veth pair between them, and a
token bucket (tc tbf) on the source's end. For root; a `with` block makes it and takes it away."""
import os
import subprocess


class ShapedLink:
    """`source` and `destination` are prefixes for commands that shall run at that end."""

    def __init__(self, mb_per_s):
        self.mb = mb_per_s
        self.names = [f"gw{os.getpid()}{end}" for end in "sd"]
        self.source, self.destination = (("ip", "netns", "exec", n) for n in self.names)
        self.address = "10.77.0.2"

    def _ip(self, *words):
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        a, b = self.names
        for name in self.names:
            self._ip("netns", "add", name)
        self._ip("link", "add", "veth", "netns", a, "type", "veth", "peer", "veth", "netns", b)
        for name, address in ((a, "10.77.0.1"), (b, self.address)):
            self._ip("-n", name, "addr", "add", f"{address}/24", "dev", "veth")
            self._ip("-n", name, "link", "set", "veth", "up")
            self._ip("-n", name, "link", "set", "lo", "up")
        # A burst of 10 ms: a packet may have 64 KiB, and the timer of the bucket ticks.
        subprocess.run([*self.source, "tc", "qdisc", "add", "dev", "veth", "root", "tbf", "rate",
                        f"{self.mb * 8}mbit", "burst", str(max(self.mb * 10000, 1 << 20)),
                        "latency", "50ms"], check=True, capture_output=True, text=True)

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
