"""glibc's arenas: few of them, so that one thread's memory serves the next."""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX = -8  # malloc.h
# By itself glibc makes eight a core, and each keeps what its threads once had in hand.
_MOST = 2


def limit_arenas() -> None:
    """Let glibc make no more of them; elsewhere, and where its own variable is set, do nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _MOST)
