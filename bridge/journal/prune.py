"""Which segments may go, and which are worth thinning: decisions from plain values.

A lane has settled the first `passed` events of its table, but for what waits, and a segment
knows each table's total before it and at its end. Whether anything in it is still wanted is
therefore arithmetic, wherever an idle lane's cursor stands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.journal.lane import LaneState
from bridge.journal.sealed import SealedSegment
from bridge.journal.typed import KNOWN, total_of

# A thinned segment below this size is not thinned again: the file itself takes as much.
LEAST_BYTES = 2**16
ByTable = Mapping[str, Sequence[LaneState]]


@dataclass(slots=True)
class Need:
    """What of one table in a segment is still wanted.

    Attributes:
        start: all from this offset on, None where no lane wants that.
        share: about which part of the table's events that is.
        offsets: single events before it.
    """

    start: int | None = None
    share: float = 0.0
    offsets: set[int] = field(default_factory=set)


def by_table(lanes: Iterable[tuple[str, LaneState]]) -> dict[str, list[LaneState]]:
    """Group lanes by their tables."""
    grouped: dict[str, list[LaneState]] = {}
    for table, lane in lanes:
        grouped.setdefault(table, []).append(lane)
    return grouped


def needs(segment: SealedSegment, lanes: ByTable) -> dict[str, Need]:
    """Return what of a segment is still wanted, by table; empty where it may go.

    Args:
        segment: complete.
        lanes: all active ones.
    """
    found: dict[str, Need] = {}
    tables = segment.place.tables
    for table in lanes if tables is None else tables & lanes.keys():
        need = Need()
        for lane in lanes[table]:
            start = _wanted_from(segment, table, lane)
            if start is not None and (need.start is None or start < need.start):
                need.start = start
                need.share = _share(segment, table, lane, start)
            low = bisect_left(lane.waiting, segment.first)
            need.offsets.update(lane.waiting[low : bisect_left(lane.waiting, segment.end)])
        if need.start is not None or need.offsets:
            found[table] = need
    return found


def _wanted_from(segment: SealedSegment, table: str, lane: LaneState) -> int | None:
    if lane.cursor >= segment.end or lane.end <= segment.first:
        return None
    if segment.kept is not None:
        wanted = lane.cursor < segment.kept.get(table, segment.first)
    else:
        # One that is damaged may not tell what it holds.
        wanted = (
            not segment.ends
            or (lane.events is not None and KNOWN not in segment.ends)
            or lane.passed < total_of(segment.ends, table, lane.events)
        )
    return max(lane.cursor, segment.first) if wanted else None


def _share(segment: SealedSegment, table: str, lane: LaneState, start: int) -> float:
    if segment.kept is not None:
        last = segment.kept.get(table, segment.end)
        return min(1.0, (last - start) / max(1, last - segment.first))
    low = total_of(segment.totals, table, lane.events)
    high = total_of(segment.ends, table, lane.events)
    return min(1.0, max(0, high - max(low, lane.passed)) / max(1, high - low))


def wanted_bytes(
    segment: SealedSegment, wanted: Mapping[str, Need], sizes: Mapping[str, int]
) -> int:
    """Return about how many bytes of a segment are still wanted.

    Args:
        segment: complete.
        wanted: what `needs` said.
        sizes: bytes of each table in it.
    """
    total = 0.0
    for table, need in wanted.items():
        size = sizes.get(table, 0)
        events = max(1, segment.ends.get(table, 0) - segment.totals.get(table, 0))
        total += size * need.share + len(need.offsets) * (size / events + 128)
    return int(total)


def deletable(
    segments: Sequence[SealedSegment], lanes: ByTable, *, excess: int, before: int
) -> list[SealedSegment]:
    """Return segments that nobody wants: those too old, and the oldest until there is room.

    Args:
        segments: complete ones, oldest first.
        lanes: all active ones.
        excess: bytes by which the journal is too large; not above 0 if it is not.
        before: a segment that ends earlier than this time (microseconds) is too old.
    """
    found: list[SealedSegment] = []
    for segment in segments:
        if (excess > 0 or is_old(segment, before)) and not needs(segment, lanes):
            excess -= segment.bytes
            found.append(segment)
    return found


def is_old(segment: SealedSegment, before: int) -> bool:
    """Return whether a segment ends earlier than a time, or does not say when it ends."""
    return segment.newest_time is None or segment.newest_time < before


def mergeable(
    segments: Sequence[SealedSegment], index: int, spans: Collection[tuple[int, int]], most: int
) -> bool:
    """Return whether a segment, once thinned, may go into one file with the one before it.

    Args:
        segments: complete ones, oldest first.
        index: of the segment.
        spans: in which only what is wanted is kept.
        most: bytes that the one before may have: a large one is not copied for a small one.
    """
    if index == 0:
        return False
    before, gap = segments[index - 1], (segments[index - 1].end, segments[index].first)
    near = gap[0] == gap[1] or any(low <= gap[0] and gap[1] <= high for low, high in spans)
    return before.place.thin and near and before.bytes <= most
