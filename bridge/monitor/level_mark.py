"""What outlives a restart of how far a growing column has come, and for which column it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bridge.events import Column
from bridge.monitor.buckets import BUCKET_SECONDS
from bridge.monitor.starts import Start, start_from_list, start_to_list


@dataclass(frozen=True, slots=True)
class LevelMark:
    """What is known of a column, as of a good moment; values as they are on the wire.

    Attributes:
        column: its name.
        kind: its base and type; None where the table had no such column.
        known: whether it was told what stood in the table before all that is ours.
        began: no row received before then is ours, seconds since the epoch.
        origin: where a read begins of all that came since the table was first listened to.
        start: where one begins of what is missed from that moment on.
        high: the greatest value, and the digests of the rows that have it.
        disproved: why the column does not grow.
        least: the least value of the rows that disproved it.
        nulls: whether it had nulls.
    """

    column: str
    kind: tuple[str, str] | None
    known: bool
    began: float
    origin: Start | None
    start: Start
    high: tuple[Any, tuple[int, ...]]
    disproved: str | None
    least: Any
    nulls: bool

    def is_of(self, column: Column | None) -> bool:
        """Whether its values can be compared with those of a column."""
        return column is not None and self.kind == (column.base, column.type)


def level_to_json(mark: LevelMark) -> str:
    """Return what `level_from_json` reads."""
    start, origin = mark.start, mark.origin
    return json.dumps(
        {
            "column": mark.column,
            "kind": mark.kind,
            "known": mark.known,
            "began": mark.began,
            "origin": origin and start_to_list(origin, len(origin.ties)),
            "start": start_to_list(start, len(start.ties)),
            "high": mark.high,
            "disproved": mark.disproved,
            "least": mark.least,
            "nulls": mark.nulls,
        }
    )


def level_from_json(text: str, name: str, column: Column | None) -> LevelMark | None:
    """Return what an earlier run knew; None where that was nothing.

    Args:
        text: the mark.
        name: of the column that is configured.
        column: this column, None where the table has none of that name.
    """
    saved = json.loads(text)
    if isinstance(saved, list):
        saved = _of_tide(saved, column)
    if saved is None:
        return None
    # A mark without a name is of the configuration before an upgrade, mostly the same one: to
    # doubt it would have every table read whole.
    name = saved.get("column", name)
    kind, start = saved["kind"], saved["start"]
    of = None if kind is None else (name, *kind)
    if len(start) == 3:  # likewise
        start = [*start, False, of]
    origin = saved["origin"]
    if origin is not None and len(origin) == 2:  # likewise, of the one column that there was
        origin = [origin[0], 0.0, origin[1], False, of]
    high, highest = saved["high"]
    return LevelMark(
        name,
        None if kind is None else (kind[0], kind[1]),
        saved["known"],
        saved["began"],
        None if origin is None else start_from_list(origin),
        start_from_list(start),
        (high, tuple(highest)),
        saved["disproved"],
        saved["least"],
        saved["nulls"],
    )


def _of_tide(saved: list[Any], column: Column | None) -> dict[str, Any] | None:
    """Read the mark of an earlier version, but for its digests, which were others."""
    if column is None:
        return None
    origin, _, *levels = saved
    known = [level for level in levels if level is not None]
    begin = known[0] if known else [0.0, None, []]
    end = known[-1] if known else begin
    return {
        "kind": [column.base, column.type],
        "known": origin is not None,
        "began": origin[0] if origin else 0.0,
        "origin": [origin[1], []] if origin and origin[1] is not None else None,
        "start": [begin[1], begin[0] - BUCKET_SECONDS, []],
        "high": [end[1], []],
        "disproved": None,
        "least": None,
        "nulls": False,
    }
