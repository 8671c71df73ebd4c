"""One file of lines: whole lines or none, whoever crashes, and on the disk when it says so.

Lines are appended under an advisory lock. A write that fails is undone by truncating the file
to its size before, unless somebody else has written behind it.

What a crash tore is cut when the file is next written, by a rule that needs no second file and no
second fsync: only a last line without its line feed that is ours and not whole. Lines are
acknowledged only with their line feed, so such a piece lies beyond what was ever acknowledged, and
its event comes again. Ours begins with `mark`, the start of every line of this journal; a piece
too short to show all of it, or of nothing but zeros (a power cut), is ours where the line before
it is. Whatever else stands there without a line feed, a whole object among it, gets one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import structlog

from bridge.sinks.writing import Writing

_SCAN = 64 * 1024  # bytes looked at a time when searching backwards for a line end
_MODE = 0o644
# So much of what was written last stays in the page cache, for those who follow the file. A log
# that grows would else push out all others, and have the kernel find fresh memory for each line.
_KEEP_CACHED = 64 * 2**20
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}

_log = structlog.get_logger(__name__)


class NotAppendable(OSError):
    """The path names something that lines cannot be appended to, or another writer has it."""


class AppendFile:
    """An open file that grows by whole lines.

    Args:
        path: of the file; folders are created.
        mark: what every line of ours begins with.
        keep_cached: bytes at its end that stay in the page cache.

    Raises:
        NotAppendable: it is no regular file, or another process or sink is writing it.
        OSError: it, or the folder above it, cannot be created, opened or synced.
    """

    __slots__ = ("_begin", "_cached", "_descriptor", "_end", "_identity", "_keep_cached", "path")

    def __init__(self, path: Path, mark: bytes, keep_cached: int = _KEEP_CACHED) -> None:
        self.path = path
        self._keep_cached = keep_cached
        _make_folder(path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK  # a FIFO must not hang us
        self._descriptor = os.open(path, flags, _MODE)
        try:
            self._identity = self._look()
            self._lock()
            # Where the last append began, and where it ended.
            self._begin = self._end = _cut_torn_line(self._descriptor, path, mark)
            # From here on what we wrote may be in the page cache; what stood there is not ours.
            self._cached = self._end
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


def _cut_torn_line(descriptor: int, path: Path, mark: bytes) -> int:
    """Cut the last line where it is a torn one of ours; return the file's size."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    begin = _line_start(descriptor, size)
    if not _is_torn(descriptor, begin, size, mark):
        return size
    os.ftruncate(descriptor, begin)
    os.fsync(descriptor)
    _log.warning("torn_line_cut", path=str(path), bytes=size - begin)
    return begin


def _line_start(descriptor: int, end: int) -> int:
    """Return where the line begins whose last byte stands before `end`."""
    while end:
        start = max(0, end - _SCAN)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _is_torn(descriptor: int, begin: int, end: int, mark: bytes) -> bool:
    head = os.pread(descriptor, min(len(mark), end - begin), begin)
    if head == mark:
        return not _is_whole(os.pread(descriptor, end - begin, begin))
    unclear = len(head) < len(mark) and mark.startswith(head)
    unclear = unclear or (not any(head) and _is_zeros(descriptor, begin, end))
    return unclear and _line_before_is_ours(descriptor, begin, mark)


def _line_before_is_ours(descriptor: int, begin: int, mark: bytes) -> bool:
    if not begin:
        return False
    return os.pread(descriptor, len(mark), _line_start(descriptor, begin - 1)) == mark


def _is_zeros(descriptor: int, begin: int, end: int) -> bool:
    return all(
        not any(os.pread(descriptor, min(_SCAN, end - at), at)) for at in range(begin, end, _SCAN)
    )


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"}"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


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
