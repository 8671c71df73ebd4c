"""What one try of `check` came to: what was tried, what was found, and what to type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from bridge.errors import BridgeError, cause_of

Mark = Literal["ok", "warning", "FAILED"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check`.

    Attributes:
        mark: `warning` where it works, and yet something deserves a look.
        what: that was tried.
        text: what was found, or what is wrong and why.
        cure: what to type or to change; empty where all is well.
    """

    mark: Mark
    what: str
    text: str
    cure: str = ""

    @property
    def failed(self) -> bool:
        """Whether the service would not do its work."""
        return self.mark == "FAILED"

    def told(self, hide: Callable[[str], str]) -> Finding:
        """Return it as it may be shown: sinks of others and libraries quote what they know."""
        return replace(self, text=hide(self.text), cure=hide(self.cure))

    def __str__(self) -> str:
        line = f"{self.mark:<7} {self.what}: {self.text}"
        return f"{line}\n        do: {self.cure}" if self.cure else line


def fine(what: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", what, text)


def odd(what: str, text: str, cure: str) -> Finding:
    """Return that something works, and deserves a look."""
    return Finding("warning", what, text, cure)


def wrong(what: str, text: str, cure: str = "") -> Finding:
    """Return that something is not as it must be."""
    return Finding("FAILED", what, text, cure)


def said(error: BaseException) -> str:
    """Return what an error says, without the hint that is its cure."""
    if isinstance(error, BridgeError) and error.args:
        return str(error.args[0])
    return cause_of(error)


def cure_by(table: Iterable[tuple[str, str]], text: str) -> str:
    """Return the first cure whose pattern a text has, empty where none does."""
    found = (cure for pattern, cure in table if re.search(pattern, text, re.IGNORECASE))
    return next(found, "")
