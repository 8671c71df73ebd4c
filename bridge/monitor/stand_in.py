"""`join`, `ends` and `highest` of a codec that does not have them yet, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

from bridge.codec import Codec
from bridge.errors import DecodeError
from bridge.monitor.identity import comparable


@dataclass(frozen=True, slots=True)
class Joined:
    """Frames as one payload; the bad ones are left out."""

    payload: bytes
    count: int
    bad: list[DecodeError]


def join(codec: Codec, frames: Sequence[bytes]) -> Joined:
    """See `Codec.join`."""
    own = getattr(codec, "join", None)
    if own is not None:
        return cast(Joined, own(frames))
    bad = codec.validate(frames)
    left_out = {error.index for error in bad}
    good = [frame for i, frame in enumerate(frames) if i not in left_out]
    return Joined(b"".join(good), len(good), bad)


def ends(codec: Codec, payload: bytes, count: int) -> Sequence[int]:
    """See `Codec.ends`."""
    own = getattr(codec, "ends", None)
    if own is not None:
        return cast(Sequence[int], own(payload, count))
    return list(accumulate(map(len, codec.split(payload, count))))


def highest(codec: Codec, payload: bytes, count: int, column: str) -> tuple[Any, list[int]] | None:
    """See `Codec.highest`."""
    own = getattr(codec, "highest", None)
    if own is not None:
        return cast("tuple[Any, list[int]] | None", own(payload, count, column))
    declared = next(c for c in codec.schema.columns if c.name == column)
    values = [
        (comparable(declared, row[column]), i, row[column])
        for i, row in enumerate(codec.decode(payload, count))
        if row[column] is not None
    ]
    if not values:
        return None
    top = max(value for value, _, _ in values)
    ties = [(i, wire) for value, i, wire in values if value == top]
    return ties[0][1], [i for i, _ in ties]
