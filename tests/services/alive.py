"""What a test left running: threads of this process, and processes that it started."""

from __future__ import annotations

import gc
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

from services.process import wait_until

# What was told to end may need that long on a busy machine.
_PATIENCE = 10.0
# Python's own, which stays until this process ends.
_KEPT = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")


def children() -> dict[int, str]:
    """Return this process's children by process id, with their command lines; no zombies."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return {}  # most tests have none, and need not look through all processes
    ours, found = str(os.getpid()), {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended
            # The second field is a name, which may hold anything.
            if stat.read_text(errors="replace").rpartition(")")[2].split()[1] == ours:
                command = stat.with_name("cmdline").read_bytes().replace(b"\0", b" ")
                if command and not any(kept in command for kept in _KEPT):
                    found[int(stat.parent.name)] = command.decode(errors="replace").strip()
    return found


class Alive:
    """Remembers what runs when it is made, and says what more runs later."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        # By command: a broker of all tests is another process when a test has restarted it.
        self._commands = set(children().values())

    def more(self) -> list[str]:
        """Wait until nothing more runs, but not for ever; return what still does, and kill it."""
        if self._others():
            gc.collect()  # urllib3 closes a pool's connections once nothing refers to the pool
        with suppress(AssertionError):
            wait_until(lambda: not self._others() and not self._orphans(), "the end", _PATIENCE)
        orphans = self._orphans()
        for pid in orphans:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return [
            *(f"a thread: {thread}" for thread in self._others()),
            *(f"a process: {pid} {command}" for pid, command in orphans.items()),
        ]

    def _others(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self._threads]

    def _orphans(self) -> dict[int, str]:
        found = children()
        return {pid: command for pid, command in found.items() if command not in self._commands}
