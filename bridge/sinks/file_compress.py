"""Closed files, compressed by a thread of its own, so that deliveries do not wait for it.

A compressed file gets its name when it is whole and on the disk; then the plain one goes. What a
crash left undone is begun again, as the note beside a file stays until then.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import queue
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, cast

import structlog

from bridge.loop import Loop
from bridge.sinks.extras import require
from bridge.sinks.file_paths import ENDINGS, note_of, part_of
from bridge.sinks.folders import sync_folder, take_name

Method = Literal["gzip", "zstd"]

_CHUNK = 2**20  # bytes
_LOOK_SECONDS = 0.5
_PAUSE = 30.0  # seconds until what failed is tried again
_CLOSE_SECONDS = 10.0

log = structlog.get_logger()


def require_method(method: Method) -> None:
    """See that files can be compressed so.

    Raises:
        ValueError: a library is missing; the message says how to get it.
    """
    if method == "zstd" and sys.version_info < (3, 14):
        require("backports.zstd", "zstd")


class Compressor:
    """Compresses files one after the other.

    Args:
        method: how.
        pause: seconds until what failed is tried again.
    """

    def __init__(self, method: Method, pause: float = _PAUSE) -> None:
        self._method = method
        self._pause = pause
        self._waiting: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._loop: Loop | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._loop is None or self._loop.dead:
            self._loop = Loop("file-compress", self._step)
            self._loop.start()

    def add(self, path: Path) -> None:
        """Have a file compressed that has its final name and a note."""
        self._waiting.put(path)

    def stop(self) -> None:
        """End the thread; what is not done is begun again when it is found at the next start."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()
            if not loop.current:
                loop.join(_CLOSE_SECONDS)

    def _step(self) -> bool:
        loop = self._loop
        try:
            path = self._waiting.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            return True
        try:
            compress(path, self._method, lambda: loop is None or loop.stopping)
        except OSError as error:
            log.warning("compress_failed", path=str(path), cause=error.strerror or str(error))
            self._waiting.put(path)
            if loop is not None:
                loop.wait(self._pause)
        except BaseException:
            self._waiting.put(path)
            raise
        return True


def compress(path: Path, method: Method, stopping: Callable[[], bool] = lambda: False) -> None:
    """Put a compressed file in the place of a closed one.

    Args:
        path: the closed one.
        method: how.
        stopping: whether to leave off; then everything is as it was.

    Raises:
        OSError: likewise.
    """
    target, part = Path(f"{path}{ENDINGS[method]}"), part_of(path)
    # No other file had this name when the plain one got its own: it is ours, and whole.
    if not os.path.lexists(target):
        try:
            source = path.open("rb")
        except FileNotFoundError:  # whoever reads the files was quick to take it
            note_of(path).unlink(missing_ok=True)
            return
        with source:
            try:
                fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # the sink that we replace is at it
                return
            if not _copy(source, part, method, stopping):
                part.unlink(missing_ok=True)
                return
        shutil.copystat(path, part)
        if not take_name(part, target):
            part.unlink(missing_ok=True)
        sync_folder(path.parent)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    part.unlink(missing_ok=True)
    note_of(path).unlink(missing_ok=True)
    sync_folder(path.parent)


def _copy(source: IO[bytes], part: Path, method: Method, stopping: Callable[[], bool]) -> bool:
    with part.open("wb") as file:
        with _compressing(file, method) as packed:
            while data := source.read(_CHUNK):
                if stopping():
                    return False
                packed.write(data)
        file.flush()
        os.fsync(file.fileno())
    return True


def _compressing(file: IO[bytes], method: Method) -> contextlib.AbstractContextManager[IO[bytes]]:
    if method == "gzip":
        return cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=file))
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 (only who wants it needs it)
    else:
        from backports import zstd  # noqa: PLC0415 (an extra)

    return cast("IO[bytes]", zstd.ZstdFile(file, "w"))
