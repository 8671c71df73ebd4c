"""Finding the next entry that can be read behind a page that cannot.

Entries are found by offset through a tree, so every offset whose path leads over the bad
page fails, and the first that does not is where reading goes on. It is looked for in steps
that grow with the distance, then narrowed down by halving.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

# Every offset is tried up to this distance, then every second, and so on: an island of good
# entries between bad pages is passed over only if it is smaller than its distance over this.
# A probe costs some microseconds, a walk over a thousand million offsets a hundred thousand.
_FINENESS = 2**13
_BAD = -1


def first_readable(
    seek: Callable[[int], int | None],
    at: int,
    limit: int,
    is_bad: Callable[[sqlite3.Error], bool],
) -> int | None:
    """Return an offset from which reading can go on, None where nothing readable follows.

    Args:
        seek: gives the offset of the entry at or after an offset, None if there is none.
        at: the row that could not be read lies at or after it.
        limit: where to stop looking.
        is_bad: whether an error means that what is there cannot be read for good.

    Raises:
        sqlite3.Error: for passing reasons only.
    """
    found = _try(seek, at, is_bad)
    if found is None:
        return None
    if found != _BAD:
        return max(found, at) + 1  # the way there is sound, the row itself is not
    bad = at
    offset = at + 1
    while offset < limit:
        if _try(seek, offset, is_bad) != _BAD:
            return _narrow(seek, bad, offset, is_bad)
        bad = offset
        offset += max(1, (offset - at) // _FINENESS)
    return None


def _try(
    seek: Callable[[int], int | None], offset: int, is_bad: Callable[[sqlite3.Error], bool]
) -> int | None:
    try:
        return seek(offset)
    except sqlite3.Error as error:
        if not is_bad(error):
            raise
        return _BAD


def _narrow(
    seek: Callable[[int], int | None],
    bad: int,
    good: int,
    is_bad: Callable[[sqlite3.Error], bool],
) -> int:
    while good - bad > 1:
        middle = (bad + good) // 2
        if _try(seek, middle, is_bad) == _BAD:
            bad = middle
        else:
            good = middle
    return good
