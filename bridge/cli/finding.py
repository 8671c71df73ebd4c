"""What one try of `check` came to."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """What was tried and what was found; `problem` is None where all is well."""

    what: str
    found: str
    problem: str | None = None
