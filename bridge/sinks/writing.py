"""Many pieces of memory to one file descriptor, whole and without joining them."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

MOST_PIECES = min(os.sysconf("SC_IOV_MAX"), 1024)  # that one system call takes


class Writing:
    """What is still to be written of some pieces, in order.

    Attributes:
        written: bytes that have left, also where `to` has raised.
    """

    __slots__ = ("_waiting", "written")

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._waiting = [memoryview(piece) for piece in pieces if len(piece)]
        self._waiting.reverse()  # so that what is written leaves from the end
        self.written = 0

    def to(self, descriptor: int) -> None:
        """Write all of it; block, also where the descriptor does not.

        Raises:
            OSError: not all of it was written.
        """
        while self._waiting:
            try:
                count = os.writev(descriptor, self._waiting[: -MOST_PIECES - 1 : -1])
            except BlockingIOError:  # whoever started us left the pipe non-blocking
                select.select([], [descriptor], [])
            else:
                self._advance(count)

    def _advance(self, count: int) -> None:
        self.written += count
        while count:
            piece = self._waiting.pop()
            if count < len(piece):
                self._waiting.append(piece[count:])
                return
            count -= len(piece)
