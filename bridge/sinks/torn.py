"""What of a file's end a crash tore: told by its lines, or by what was written down before.

Only what is ours and not whole is ever cut: the last line, which was never acknowledged, as what is
acknowledged ends with a line feed. Its event comes again.

- Lines that begin with a mark, the start of every line of a journal, are told by it. A piece too
  short to show all of it, or of nothing but zeros (a power cut), is ours where the line before it
  is.
- For others it is written down where an append begins and ends: what lies there, and does not
  reach the end, is torn.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Protocol

_SCAN = 64 * 1024  # bytes looked at a time


class Torn(Protocol):
    """Tells where the end of a file is whole."""

    def whole(self, descriptor: int, size: int) -> int:
        """Return how much of an open file of `size` bytes, more than none, to keep."""


@dataclass(frozen=True, slots=True)
class Marked:
    """Lines that begin with a mark and are JSON objects."""

    mark: bytes

    def whole(self, descriptor: int, size: int) -> int:
        """See `Torn.whole`."""
        if os.pread(descriptor, 1, size - 1) == b"\n":
            return size
        begin = _line_start(descriptor, size)
        return begin if self._is_torn(descriptor, begin, size) else size

    def _is_torn(self, descriptor: int, begin: int, end: int) -> bool:
        head = os.pread(descriptor, min(len(self.mark), end - begin), begin)
        if head == self.mark:
            return not _is_whole(os.pread(descriptor, end - begin, begin))
        unclear = len(head) < len(self.mark) and self.mark.startswith(head)
        unclear = unclear or (not any(head) and _is_zeros(descriptor, begin, end))
        return unclear and self._line_before_is_ours(descriptor, begin)

    def _line_before_is_ours(self, descriptor: int, begin: int) -> bool:
        if not begin:
            return False
        start = _line_start(descriptor, begin - 1)
        return os.pread(descriptor, len(self.mark), start) == self.mark


@dataclass(frozen=True, slots=True)
class Announced:
    """Lines of which it was written down where they were to stand.

    Attributes:
        begin: where the last append began.
        end: where it was to end.
        quotes: whether a line feed between quotes ends no line, as in CSV.
    """

    begin: int
    end: int
    quotes: bool = False

    def whole(self, descriptor: int, size: int) -> int:
        """See `Torn.whole`."""
        if not self.begin < size < self.end:
            return size
        kept, at, quoted = self.begin, self.begin, False
        while at < size:
            data = os.pread(descriptor, min(_SCAN, size - at), at)
            kept, quoted = self._last_end(data, at, kept, quoted=quoted)
            at += len(data)
        return kept

    def _last_end(self, data: bytes, at: int, kept: int, *, quoted: bool) -> tuple[int, bool]:
        if not self.quotes:
            found = data.rfind(b"\n")
            return (at + found + 1 if found >= 0 else kept), False
        pieces = data.split(b'"')
        for index, piece in enumerate(pieces):
            found = -1 if quoted else piece.rfind(b"\n")
            if found >= 0:
                kept = at + found + 1
            at += len(piece) + 1
            quoted ^= index < len(pieces) - 1
        return kept, quoted


def _line_start(descriptor: int, end: int) -> int:
    """Return where the line begins whose last byte stands before `end`."""
    while end:
        start = max(0, end - _SCAN)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


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
