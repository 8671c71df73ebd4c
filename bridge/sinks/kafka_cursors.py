"""What the destination has already: kept in a compacted topic, in one transaction with the events.

A record for each table of a sink says up to which offset all was delivered but some runs, and
which runs behind it were. Read back when the sink is opened, it tells of every event whether it
was delivered, whatever the journal remembers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bridge.lines import Slice
from bridge.sinks.base import Standing

TOPIC = "kinetica-bridge-cursors"

Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What of one table the destination has.

    Attributes:
        to: all before it is settled but what is in `open`.
        open: runs (start, stop) before `to` that were not delivered.
        ahead: runs behind `to` that were.
    """

    to: int = 0
    open: tuple[Run, ...] = ()
    ahead: tuple[Run, ...] = ()

    def missing(self, piece: Slice) -> list[Slice]:
        """Return the parts of a slice that were not delivered."""
        begin, end = piece.offset, piece.end
        if begin >= self.to and not self.ahead:
            return [piece]
        left = self._undelivered([(begin, end)])
        return [piece.part(start - begin, stop - begin) for start, stop in left]

    def after(self, standing: Standing, sent: Sequence[Run], taken: Sequence[Run]) -> Delivered:
        """Return what it has after a transaction.

        Args:
            standing: where the table stands once all of the batch is delivered.
            sent: what the batch has of the table.
            taken: what was taken of it, in this transaction or before.
        """
        to = max(self.to, standing.to)
        ahead = joined([*standing.ahead, *self.ahead, *taken])
        behind = tuple((max(start, to), stop) for start, stop in ahead if stop > to)
        if standing.to < self.to:  # the journal went back, what was delivered stays so
            return Delivered(to, tuple(without(self.open, taken)), behind)
        away = joined((start, min(stop, to)) for start, stop in (*standing.open, *sent))
        return Delivered(to, tuple(self._undelivered(without(away, taken))), behind)

    def before(self, head: int) -> Delivered:
        """Return what it has of the offsets before one: those behind may be given again."""
        cut = [
            tuple((start, min(stop, head)) for start, stop in runs if start < head)
            for runs in (self.open, self.ahead)
        ]
        return Delivered(min(self.to, head), *cut)

    def _undelivered(self, runs: Sequence[Run]) -> list[Run]:
        known = [*self.open, (self.to, 1 << 63)]
        return without(_common(runs, known), self.ahead)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is stored: runs as pairs of distance and length, so that many fit."""
        return {"to": self.to, "open": _flat(self.open), "ahead": _flat(self.ahead)}

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Delivered:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        return cls(int(value["to"]), _runs(value["open"]), _runs(value["ahead"]))


def key_of(journal_id: str, sink: str, table: str | None) -> bytes:
    """Return the key of a table's record; without a table, of the sink's own."""
    key = {"journal": journal_id, "sink": sink}
    return json.dumps(key if table is None else key | {"table": table}).encode()


def runs_of(slices: Iterable[Slice]) -> dict[str, list[Run]]:
    """Return the runs of each table."""
    found: dict[str, list[Run]] = {}
    for each in slices:
        found.setdefault(each.table, []).append((each.offset, each.end))
    return {table: joined(runs) for table, runs in found.items()}


def joined(runs: Iterable[Run]) -> list[Run]:
    """Return runs in order, those that touch as one."""
    found: list[Run] = []
    for start, stop in sorted(runs):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        elif start < stop:
            found.append((start, stop))
    return found


def without(runs: Iterable[Run], others: Iterable[Run]) -> list[Run]:
    """Return what is left of runs, given in order, without others."""
    taken = joined(others)
    found: list[Run] = []
    place = 0
    for first, stop in runs:
        start = first
        while place < len(taken) and taken[place][1] <= start:
            place += 1
        for begin, end in islice(taken, place, None):
            if begin >= stop:
                break
            if start < begin:
                found.append((start, begin))
            start = max(start, end)
        if start < stop:
            found.append((start, stop))
    return found


def _common(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return what lies in both; both in order."""
    return without(runs, without(runs, others))


def _flat(runs: Sequence[Run]) -> list[int]:
    flat: list[int] = []
    before = 0
    for start, stop in runs:
        flat += (start - before, stop - start)
        before = stop
    return flat


def _runs(flat: Sequence[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    before = 0
    for distance, length in zip(flat[::2], flat[1::2], strict=True):
        start = before + int(distance)
        before = start + int(length)
        runs.append((start, before))
    return tuple(runs)
