"""Moments as people write them: a time, or an age."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime


def moment(text: str) -> int:
    """Read an RFC 3339 time, or an age such as `2h`, as microseconds since the epoch.

    Raises:
        argparse.ArgumentTypeError: it is neither.

    >>> moment("1970-01-01T00:00:01Z")
    1000000
    """
    from bridge.units import parse_duration  # noqa: PLC0415 (it brings pydantic: a tenth of a second)

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return round((time.time() - parse_duration(text)) * 1e6)
        except ValueError:
            example = "a time like 2026-11-23T08:42:00Z or an age like 2h"
            raise argparse.ArgumentTypeError(f"{text!r} is not {example}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1e6)
