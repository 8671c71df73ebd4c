"""What became of the rows: the counts and times of one contender in one trouble."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from benchmarks.compare.contenders import Told

# A row that arrives later than this after it was sent, was late: the stream was not whole.
LATE_SECONDS = 1.0
_NANO = 1e9


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report.

    Attributes:
        contender: its name.
        published: rows that the cluster accepted from when it listened to the end.
        received: of these, those it was told at least once, as they were.
        lost: of these, those it was never told.
        lost_of_table: of the lost, those that the table has at the end.
        duplicated: deliveries of a row beyond its first.
        wrong: deliveries that were no row of the table's.
        noticed: seconds from the trouble to when it said that something is the matter.
        hears: seconds from the trouble to the first row after which none was lost or late; None
            where the last rows were.
        whole: seconds from the trouble to when every row sent until then had arrived, 0 where
            none was late; None where a row that the table has was lost.
        remark: what else there is to say.
    """

    contender: str
    published: int
    received: int
    lost: int
    lost_of_table: int
    duplicated: int
    wrong: int
    noticed: float | None
    hears: float | None
    whole: float | None
    remark: str = ""

    @property
    def is_good(self) -> bool:
        """Whether all that was published was told, and nothing else."""
        return not self.lost and not self.wrong


def result(
    name: str,
    told: Told,
    published: Mapping[int, int],
    in_table: AbstractSet[int],
    doubtful: AbstractSet[int],
    trouble: int,
    remark: str = "",
) -> Result:
    """Compare what was told with what was published.

    Args:
        name: of the contender.
        told: what it was told.
        published: number of a row to when it was sent, nanoseconds of the monotonic clock.
        in_table: the rows the table has at the end.
        doubtful: rows that were refused, and may have been told all the same.
        trouble: when it began, on the same clock.
        remark: kept as it is.
    """
    first = {number: min(times) for number, times in told.rows.items() if number in published}
    lost = published.keys() - first.keys()
    late = [
        number
        for number, arrived in first.items()
        if arrived >= trouble and arrived - published[number] > LATE_SECONDS * _NANO
    ]
    bad = max((published[number] for number in (*lost, *late)), default=0)
    after = [arrived for number, arrived in first.items() if published[number] > max(bad, trouble)]
    said = [moment for moment, _ in told.said if moment >= trouble]
    arrivals = [first[number] for number in late]
    whole = None if lost & in_table else max(arrivals, default=trouble)
    return Result(
        contender=name,
        published=len(published),
        received=len(first),
        lost=len(lost),
        lost_of_table=len(lost & in_table),
        duplicated=sum(len(times) - 1 for times in told.rows.values()),
        wrong=len(told.wrong) + len(told.rows.keys() - published.keys() - doubtful),
        noticed=_since(trouble, min(said, default=None)),
        hears=_since(trouble, min(after, default=None)),
        whole=_since(trouble, whole),
        remark=remark,
    )


def is_settled(told: Told, published: Mapping[int, int], now: int, patience: float) -> bool:
    """Say whether nothing more is to be seen: whole, or hearing again all that is published.

    Args:
        told: what a contender was told.
        published: as of `result`.
        now: nanoseconds of the monotonic clock.
        patience: seconds; only rows sent before the last second of these and in them count as
            what it hears now.
    """
    due = now - LATE_SECONDS * _NANO
    recent = [number for number, sent in published.items() if due - patience * _NANO < sent < due]
    return bool(recent) and all(number in told.rows for number in recent)


def is_whole(told: Told, published: Mapping[int, int], in_table: AbstractSet[int]) -> bool:
    """Say whether every published row that the table has was told."""
    return all(number in told.rows for number in published if number in in_table)


def _since(trouble: int, moment: int | None) -> float | None:
    return None if moment is None else (moment - trouble) / _NANO
