# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving a guest: set both ends up, start, wait, and see that both say the same."""
import time

ENDED = ("completed", "failed", "cancelled")


class MigrationFailed(AssertionError):
    """The migration ended otherwise than completed; the message has the VMMs' reasons."""


def set_capabilities(machine, **states):
    """set_capabilities(vm, return_path=True): underscores stand for dashes."""
    machine.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": k.replace("_", "-"), "state": v} for k, v in states.items()]})


def set_parameters(machine, **values):
    machine.qmp.cmd("migrate-set-parameters",
                    {k.replace("_", "-"): v for k, v in values.items()})


def status(machine):
    return machine.qmp.cmd("query-migrate").get("status", "none")


def wait_status(machine, *wanted, timeout=120, but=ENDED):
    """Polls until the status is one of `wanted`; a different end is an error. The reply."""
    end = time.monotonic() + timeout
    while True:
        info = machine.qmp.cmd("query-migrate")
        now = info.get("status", "none")
        if now in wanted:
            return info
        if now in but:
            raise MigrationFailed(f"{machine.name}: {now}: {info.get('error-desc', '')}\n"
                                  f"{machine.stderr()}")
        if time.monotonic() > end:
            raise TimeoutError(f"{machine.name} stays {now}, not {wanted}: {info}")
        time.sleep(0.005)


def listen(destination, uri):
    """Tells a `-incoming defer` destination to listen; the URI to connect to."""
    destination.qmp.cmd("migrate-incoming", {"uri": uri})
    if not uri.startswith("tcp:"):
        return uri
    info = destination.qmp.cmd("query-migrate")
    address = info["socket-address"][0]
    host = f"[{address['host']}]" if ":" in address["host"] else address["host"]
    return f"tcp:{host}:{address['port']}"


def wait_moved(source, destination, timeout=120):
    """Until both ends are completed and the guest runs on the destination; the source's reply."""
    wait_status(source, "completed", timeout=timeout)
    wait_status(destination, "completed", timeout=timeout)
    destination.wait_run_state("running", "paused", "prelaunch")
    return source.qmp.cmd("query-migrate")


def migrate(source, destination, uri=None, timeout=120):
    """One whole precopy; `uri` defaults to a unix socket beside the destination."""
    target = listen(destination, uri or f"unix:{destination.dir}/migrate")
    source.qmp.cmd("migrate", {"uri": target})
    return wait_moved(source, destination, timeout)
