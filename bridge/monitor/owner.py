"""Whose the table monitors of a program are, and which of them nobody has any more.

Kinetica keeps a table monitor until somebody clears it, and a program that is killed clears
nothing. Where a client has a name, its monitors are named after it, so that its next run finds
them again. Where it has none, they are named after its process: another process of the same
kernel and process namespace can prove that it has ended. Nobody else can, so nobody else clears
them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_OF_A_PROCESS = re.compile(
    r"kbridge_p(?P<place>[0-9a-f]{16})x(?P<pid>[1-9][0-9]*)x(?P<started>[0-9]+)x[0-9a-f]{8}_"
)


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from every other one.

    Attributes:
        place: digest of what process ids are unique in: a kernel since it was booted, and a
            namespace.
        pid: its id there.
        started: when it was started, in the kernel's ticks: ids are used again.
    """

    place: str
    pid: int
    started: int

    @staticmethod
    def present() -> Process | None:
        """Return this process; None where the system does not tell it from others."""
        pid, place = os.getpid(), _place()
        started = _started("self", pid)
        return None if place is None or started is None else Process(place, pid, started)

    @property
    def ended(self) -> bool:
        """Whether it has certainly ended; False where that cannot be told from here."""
        here = Process.present()
        if here is None or here.place != self.place:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass  # it exists, and is somebody else's
        started = _started(str(self.pid), self.pid)
        return started is not None and started != self.started


def name_instance(name: str | None, table: str) -> str:
    """Return what marks the monitors of a client.

    Args:
        name: the client's own; None for one that is of this run alone.
        table: the qualified name. Clients of one name for several tables do not mix.
    """
    if name is not None:
        return _digest(f"{name}\0{table}")
    process = Process.present()
    if process is None:
        return secrets.token_hex(8)
    return f"p{process.place}x{process.pid}x{process.started}x{secrets.token_hex(4)}"


def left_behind(monitors: Collection[str]) -> set[str]:
    """Return those of some monitors' ids whose process has certainly ended."""
    ended: dict[Process, bool] = {}
    found: set[str] = set()
    for monitor in monitors:
        told = _OF_A_PROCESS.match(monitor)
        if told is None:
            continue
        process = Process(told["place"], int(told["pid"]), int(told["started"]))
        if process not in ended:
            ended[process] = process.ended
        if ended[process]:
            found.add(monitor)
    return found


class Claims:
    """What only one at a time may have. Any thread may claim and release."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _held
        self._held: set[object] = set()

    def claim(self, wanted: frozenset[object]) -> bool:
        """Take some things; False, and none is taken, if one of them is."""
        with self._lock:
            if self._held & wanted:
                return False
            self._held |= wanted
            return True

    def release(self, held: frozenset[object]) -> None:
        """Give them back."""
        with self._lock:
            self._held -= held

    def forget(self) -> None:
        """Start anew, in a process that was forked: whoever held something is not here."""
        self._lock, self._held = threading.Lock(), set()


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _place() -> str | None:
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        spaces = [str((_PROC / "self/ns/pid").readlink())]
        with suppress(FileNotFoundError):  # before Linux 5.6
            spaces.append(str((_PROC / "self/ns/time").readlink()))
        return _digest("\0".join([boot, os.uname().nodename, *spaces]))
    return None


def _started(directory: str, pid: int) -> int | None:
    """Return a process's start in ticks; None if unknown, or if /proc is of another namespace."""
    with suppress(OSError, ValueError, IndexError):
        text = (_PROC / directory / "stat").read_text(errors="replace")
        before, _, after = text.rpartition(")")  # the program's name may hold anything
        return int(after.split()[19]) if int(before.split()[0]) == pid else None
    return None
