"""Who writes the journal: a file under `flock` that holds the writer's pid, the head, the host.

The head is noted after every commit, without fsync. It costs a microsecond and is the
witness that entries are missing if a segment, or its write-ahead log, was cut off or
deleted: without it, their offsets would be given a second time. A note that was damaged says
nothing: a checksum stands beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import zlib
from errno import EIO
from pathlib import Path

from bridge.errors import JournalUnavailable
from bridge.journal.layout import FORBIDDEN, lock_path, unwritable

_PID = b"%10d\n"
_HEAD = b"%20d"
_HEAD_AT, _HOST_AT, _HOST_BYTES = 11, 41, 64
# Offsets stay far below it; format 1 noted heads without a checksum.
_NO_HEAD = 2**62


class JournalLock:
    """The right to write one journal, held until `release` or until the process ends."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock at once.

        Raises:
            JournalUnavailable: another process holds it (the message has its pid), or the
                file may not be written.
            OSError: the disk failed.
        """
        path = lock_path(self._journal)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno not in FORBIDDEN:
                raise
            raise unwritable(self._journal, path, error.strerror) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise JournalUnavailable(
                f"journal {self._journal} is in use by {holder}",
                hint="stop that process, or give this one another journal.path",
            ) from error
        except OSError as error:
            os.close(descriptor)
            if error.errno == EIO:
                raise
            raise JournalUnavailable(
                f"journal {self._journal}: cannot lock {path}: {error.strerror}",
                hint="put journal.path on a local disk",
            ) from error
        self._descriptor = descriptor
        os.pwrite(descriptor, _PID % os.getpid(), 0)
        host = socket.gethostname().encode("utf-8", "replace")[:_HOST_BYTES]
        os.pwrite(descriptor, host.ljust(_HOST_BYTES) + b"\n", _HOST_AT)

    def note(self, head: int) -> None:
        """Note the head; a disk that fails here has failed in the commit before."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, _note(_HEAD % head), _HEAD_AT)

    def release(self) -> None:
        """Let go of the lock; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(journal: Path) -> str | None:
    """Say who has a journal's lock, None where nobody has or it cannot be told."""
    try:
        descriptor = os.open(lock_path(journal), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Name who has the lock; a process id of another host or container means nothing here."""
    noted = os.pread(descriptor, _HOST_AT + _HOST_BYTES, 0).decode("utf-8", "replace")
    pid, host = noted[:_HEAD_AT].strip(), noted[_HOST_AT:].strip()
    named = f"process {pid or 'unknown'}"
    if not host or host == socket.gethostname():
        return named
    return f"{named} of {host}, which is another container or host"


def noted_head(journal: Path) -> int:
    """Return the head as last noted, 0 where nothing was or the note is damaged.

    Raises:
        OSError: the disk failed.
    """
    try:
        noted = lock_path(journal).read_bytes()[_HEAD_AT:]
        text = noted[: len(_HEAD % 0)]
        head = int(text)
    except (FileNotFoundError, ValueError):
        return 0
    whole = noted.startswith((_note(text), text + b"\n"))  # what stands behind it is not ours
    return head if whole and 0 <= head < _NO_HEAD else 0


def _note(head: bytes) -> bytes:
    return b"%b %08x\n" % (head, zlib.crc32(head))
