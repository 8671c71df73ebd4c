"""One file of lines: whole lines or none, whoever crashes, and on the disk when it says so.

Lines are appended under an advisory lock. A write that fails is undone by truncating the file
to its size before, unless somebody else has written behind it.

What a crash tore is cut when the file is next opened (`torn` says what that is). Whatever else
stands there without a line feed, a whole object among it, gets one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import structlog

from bridge.sinks.folders import make_folder, sync_folder
from bridge.sinks.torn import Torn
from bridge.sinks.writing import Writing

_MODE = 0o644
# So much of what was written last stays in the page cache, for those who follow the file. A log
# that grows would else push out all others, and have the kernel find fresh memory for each line.
_KEEP_CACHED = 64 * 2**20
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}

_log = structlog.get_logger(__name__)


class NotAppendable(OSError):
    """The path names something that lines cannot be appended to, or another writer has it."""


class AppendFile:
    """An open file that grows by whole lines.

    Args:
        path: of the file; folders are created.
        torn: tells what a crash tore.
        keep_cached: bytes at its end that stay in the page cache.

    Attributes:
        identity: device and number of the file.

    Raises:
        NotAppendable: it is no regular file, or another process or sink is writing it.
        OSError: it, or the folder above it, cannot be created, opened or synced.
    """

    __slots__ = ("_begin", "_cached", "_descriptor", "_end", "_keep_cached", "identity", "path")

    def __init__(self, path: Path, torn: Torn, keep_cached: int = _KEEP_CACHED) -> None:
        self.path = path
        self._keep_cached = keep_cached
        make_folder(path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK  # a FIFO must not hang us
        self._descriptor = os.open(path, flags, _MODE)
        try:
            self.identity = self._look()
            self._lock()
            # Where the last append began, and where it ended.
            self._begin = self._end = self._cut(torn)
            # From here on what we wrote may be in the page cache; what stood there is not ours.
            self._cached = self._end
            # On every opening: who created the file may have died before the entry was safe.
            sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __repr__(self) -> str:
        return f"<AppendFile {self.path}>"

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return os.fstat(self._descriptor).st_size

    def head(self, size: int) -> bytes:
        """Return its first bytes."""
        return os.pread(self._descriptor, size, 0)

    def is_current(self) -> bool:
        """Tell whether the path still names this file, not one that replaced it, or none."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 (every batch asks: no Path round it)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def append(self, lines: Sequence[memoryview]) -> None:
        """Append whole lines, or leave the file as it was.

        Raises:
            OSError: they were not written; what could not be taken back is logged.
        """
        self._begin = os.fstat(self._descriptor).st_size
        pieces: list[bytes | memoryview] = list(lines)
        if self._begin and os.pread(self._descriptor, 1, self._begin - 1) != b"\n":
            pieces.insert(0, b"\n")  # somebody's text ends without one
        writing = Writing(pieces)
        try:
            writing.to(self._descriptor)
        except OSError:
            self._end = self._begin + writing.written
            self.undo()
            raise
        self._end = self._begin + writing.written

    def sync(self) -> None:
        """Return when what was appended is on the disk.

        Raises:
            OSError: it may not be. The caller undoes the append, since the kernel forgets
                after one failure which pages it could not write.
        """
        os.fsync(self._descriptor)
        self._give_back()

    def undo(self) -> None:
        """Take the last `append` back, unless another has written behind it."""
        try:
            if os.fstat(self._descriptor).st_size == self._end:
                os.ftruncate(self._descriptor, self._begin)
                self._end = self._begin
                return
            cause: str | None = "somebody else has appended to it"
        except OSError as error:
            cause = error.strerror
        _log.warning("append_not_undone", path=str(self.path), cause=cause)

    def close(self) -> None:
        """Close the file; its lock goes with it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # whatever was acknowledged is synced already
                os.close(descriptor)

    def _give_back(self) -> None:
        """Let the kernel forget what lies on the disk and far behind, an eighth at a time."""
        self._cached = min(self._cached, self._end)  # somebody may have cut the file
        old = self._end - self._keep_cached
        size = old - self._cached
        if size < self._keep_cached // 8 or not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError):  # some file systems take no advice
            os.posix_fadvise(self._descriptor, self._cached, size, os.POSIX_FADV_DONTNEED)
        self._cached = old

    def _cut(self, torn: Torn) -> int:
        """Cut what a crash tore; return the file's size."""
        size = self.size
        whole = torn.whole(self._descriptor, size) if size else 0
        if whole < size:
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
            _log.warning("torn_line_cut", path=str(self.path), bytes=size - whole)
        return whole

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAppendable(errno.EINVAL, "is no regular file", str(self.path))
        return status.st_dev, status.st_ino

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = "is being written by another sink or process"
            raise NotAppendable(errno.EWOULDBLOCK, message, str(self.path)) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
