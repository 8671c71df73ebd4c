"""A disk that fails or stalls on demand, for one process: see `disk_fault.c`."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from services.preload import CompilerMissing, compiled

__all__ = ["CompilerMissing", "DiskFault", "DiskMissing", "Faults", "mounted", "take_all_space"]


class Faults:
    """Faults of the disk under a process that reads what is in force from a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, fault: str, where: str, number: int = errno.EIO) -> None:
        """Put a fault in force for each file whose path has `where` in it."""
        written = self._folder / "new"
        written.write_text(f"{number} {where}")
        written.rename(self._folder / fault)

    def kill_at(self, number: int, where: str) -> None:
        """Have the process killed where it would change such a file for the so-manieth time."""
        self.begin("kill-at", where, number)

    def end(self, fault: str) -> None:
        """End a fault."""
        (self._folder / fault).unlink(missing_ok=True)

    def met(self, fault: str) -> int:
        """Return how often a fault was met so far."""
        met = self._folder / f"{fault}.met"
        return met.stat().st_size if met.exists() else 0


class DiskFault(Faults):
    """Faults of the disk under a process that was started with `env`.

    Raises:
        CompilerMissing: without a C compiler there is none of this.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "faults")
        self._folder.mkdir()
        self.env = {"LD_PRELOAD": str(compiled("disk_fault")), "DISK_FAULT": str(self._folder)}


class DiskMissing(RuntimeError):
    """A disk of one's own cannot be had here."""


@contextlib.contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk in memory, of a size as `mount` takes it.

    Raises:
        DiskMissing: only root can, and not everywhere.
    """
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise DiskMissing("only root can mount a small disk")
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        raise DiskMissing(f"no small disk can be mounted: {made.stderr}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def take_all_space(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
