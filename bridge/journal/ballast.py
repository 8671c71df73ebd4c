"""Room on the disk that the journal keeps for the moment in which there is none.

A full disk is healed by deleting segments, and the newest can only be deleted once another was
begun, which takes room; so does a start. That room is held by a file that is given up then, and
made again as soon as the disk has room, as large as there is room for.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bridge.journal.layout import ballast_path

# What a start takes: the reserved log of `state.db`, and the indices of logs.
_START_BYTES = 5 * 2**18
# What it takes to begin a segment, beside the marks and totals that it carries over.
_ROLL_BYTES = 2**20
# Those stand in its file and in its write-ahead log; pages are not filled to their ends.
_COPIES = 3
# Of a very small disk it takes no more than this part.
_MOST = 1 / 8
_PIECE = 2**16


class Ballast:
    """The file; its owner guards it with a lock.

    Args:
        journal: the journal's folder.
    """

    def __init__(self, journal: Path) -> None:
        self._path = ballast_path(journal)
        self._surely_held = False  # one that was copied may be a file without blocks

    def __repr__(self) -> str:
        return f"<Ballast at {self._path}>"

    def give_up(self) -> bool:
        """Give its room back; return whether it had any."""
        try:
            held = self._path.stat().st_size
            self._path.unlink()
        except OSError:
            return False
        return held > 0

    def give_up_if_short(self) -> None:
        """Give its room back where the disk has not got what a start takes."""
        if not has_room(self._path.parent, 0):
            self.give_up()

    def make(self, carried: int) -> None:
        """Make it as large as it should be, or as there is room for.

        Args:
            carried: bytes of what a new segment carries over.
        """
        wanted = _START_BYTES + _ROLL_BYTES + _COPIES * carried
        free, disk = _room(self._path.parent)
        with suppress(OSError):  # tried again at the next upkeep
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                held = os.fstat(descriptor).st_size
                size = min(wanted, int(disk * _MOST), held + free)
                for at in range(held if self._surely_held else 0, size, _PIECE):
                    os.pwrite(descriptor, bytes(min(_PIECE, size - at)), at)
                self._surely_held = True
            finally:
                os.close(descriptor)


def has_room(folder: Path, size: int) -> bool:
    """Whether a disk can take so many bytes, and what a start takes beside them."""
    return _room(folder)[0] >= size + _START_BYTES


def _room(folder: Path) -> tuple[int, int]:
    """Return the bytes that are free on a disk, and those that it has; zeros if not known."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0, 0
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
