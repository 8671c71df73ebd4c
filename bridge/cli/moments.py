"""Moments as people write them, as arguments: a time, or an age."""

from __future__ import annotations

import argparse


def moment(text: str) -> int:
    """Read an RFC 3339 time, or an age such as `2h`, as microseconds since the epoch.

    Raises:
        argparse.ArgumentTypeError: it is neither.

    >>> moment("1970-01-01T00:00:01Z")
    1000000
    """
    from bridge.units import parse_moment  # noqa: PLC0415 (it brings pydantic: a tenth of a second)

    try:
        return parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
