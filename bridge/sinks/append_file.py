"""One file of lines: whole lines or none, whoever crashes, and on the disk when it says so.

Lines are appended under an advisory lock. A write that fails is undone by truncating the file
to its size before; a line torn by a crash, the last without its newline, is cut off when the
file is opened, since it was never acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

import structlog

_SCAN = 64 * 1024  # bytes looked at a time when searching backwards for a line end
_MODE = 0o644
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}

_log = structlog.get_logger(__name__)


class NotAppendable(OSError):
    """The path names something that lines cannot be appended to, or another writer has it."""


class AppendFile:
    """An open file that grows by whole lines.

    Raises from the constructor:
        NotAppendable: it is no regular file, or another process or sink is writing it.
        OSError: it, or the folder above it, cannot be created, opened or synced.
    """

    __slots__ = ("_descriptor", "_identity", "_size", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        _make_folder(path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK  # a FIFO must not hang us
        self._descriptor = os.open(path, flags, _MODE)
        try:
            self._identity, self._size = self._look()
            self._lock()
            self._cut_torn_line()
            # On every opening: who created the file may have died before the entry was safe.
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __repr__(self) -> str:
        return f"<AppendFile {self.path}>"

    def is_current(self) -> bool:
        """Tell whether the path still names this file, not one that replaced it, or none."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 (every batch asks: no Path round it)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def append(self, lines: bytes) -> None:
        """Append whole lines, or leave the file as it was.

        Raises:
            OSError: they were not written, and nothing of them is left in the file.
        """
        self._size = os.fstat(self._descriptor).st_size
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self.undo()
            raise

    def sync(self) -> None:
        """Return when what was appended is on the disk.

        Raises:
            OSError: it may not be. The caller undoes the append, since the kernel forgets
                after one failure which pages it could not write.
        """
        os.fsync(self._descriptor)

    def undo(self) -> None:
        """Take the last `append` back; what cannot be taken back is logged."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            _log.warning("append_not_undone", path=str(self.path), cause=error.strerror)

    def close(self) -> None:
        """Close the file; its lock goes with it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # whatever was acknowledged is synced already
                os.close(descriptor)

    def _look(self) -> tuple[tuple[int, int], int]:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAppendable(errno.EINVAL, "is no regular file", str(self.path))
        return (status.st_dev, status.st_ino), status.st_size

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = "is being written by another sink or process"
            raise NotAppendable(errno.EWOULDBLOCK, message, str(self.path)) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def _cut_torn_line(self) -> None:
        end = self._size
        if not end or os.pread(self._descriptor, 1, end - 1) == b"\n":
            return
        while end:
            start = max(0, end - _SCAN)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)
        _log.warning("torn_line_cut", path=str(self.path), bytes=self._size - end)
        self._size = end


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
