"""A line on a terminal that says how far long work is; nothing where nobody looks."""

from __future__ import annotations

import sys
from typing import Self

from bridge.errors import excerpt


class Progress:
    """Shows one line on stderr, written over again and again; used as a context manager.

    Args:
        what: is being done.
        unit: what is counted.
    """

    def __init__(self, what: str, unit: str = "rows") -> None:
        self._what = what
        self._unit = unit
        self._shown = False
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._write("")

    @property
    def shows(self) -> bool:
        """Whether somebody looks."""
        return self._terminal

    def show(self, done: int, expected: int, waits: str | None = None) -> None:
        """Say how far it is, `expected` is 0 where nobody knows; and why it waits."""
        if not self._terminal:
            return
        rows = f"{done:,} {self._unit}"
        if expected > 0:
            rows = f"{done:,} of {expected:,} {self._unit}, {min(100, 100 * done // expected)} %"
        self._shown = True
        self._write(f"{self._what}: {rows}" + (f"; waits: {excerpt(waits, 60)}" if waits else ""))

    def _write(self, text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
