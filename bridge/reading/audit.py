"""Auditing what nobody reported: rows that are in the table and never arrived.

ZeroMQ numbers no messages, so a publisher that drops some says nothing. Where the table has a
growing column, each look counts the rows above the height of an earlier look; a minute later as
many must have been received between the same two values. Rows that updates have moved may be among
them, so then the table must have grown by more than was received, too. Elsewhere, and without a
filter, the table's size is compared with what inserts and deletes made of it.

A notification may be late. So by a column, a look that finds more rows in the table than were
received is a suspicion, and only a second look, some seconds later, makes it a finding. A size is
held against what has been heard those seconds after it was asked for: what arrives meanwhile may be
what was under way, or hide a loss until less arrives than was lost. Fewer rows than were received
prove nothing, since rows are deleted.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from bridge.codec import Codec, compile_schema
from bridge.errors import DecodeError
from bridge.events import Column, Schema
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.records import chunks
from bridge.monitor.table import TableMonitor
from bridge.monitor.writes import MARGIN_SECONDS
from bridge.reading.received import History, ReceivedRows
from bridge.types import comparable, literal
from bridge.wire.calls import Cluster, Query, all_of

# A column may be out of order for a minute: so many looks a count reaches back.
_REACH = 2
# How far before a look its rows may have been received, by stored times.
_SLACK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class AuditTimes:
    """When tables are audited, seconds.

    Attributes:
        every: between two looks; a row is expected by the next one.
        confirm: until a suspicion is looked at again, and a size is judged. A notification that
            is no later than that is no loss.
    """

    every: float = 60.0
    confirm: float = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows that nobody reported, and since when they may have been missed."""

    rows: int
    since: Moment


@dataclass(frozen=True, slots=True)
class _Look:
    """How high the column stood, and how many rows there were above an earlier look.

    Attributes:
        at: before the cluster was asked.
        height: the greatest value, None where there was no row.
        low: the earlier look, None where this is the first.
        rows: how many were above its height, up to this one's.
        there: how many there were in all, none of them above the height.
        updates: how often updates had been counted by then.
    """

    at: Moment
    height: Any
    low: _Look | None
    rows: int
    there: int
    updates: int


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many rows a table had, and how many had been heard of before it was asked."""

    at: Moment
    rows: int
    inserted: int
    deleted: int
    explained: tuple[int, ...]  # what gaps and reads did: their rows are accounted for by them


@dataclass(frozen=True, slots=True)
class _Size:
    """The rows of a table that inserts and deletes do not account for, between two bounds.

    How many notifications were under way is not known: from none to all that came since.
    """

    at: Moment
    least: int
    most: int
    explained: tuple[int, ...]


@dataclass(slots=True)
class _State:
    """What is known of one table.

    Attributes:
        size: that by which the fewest rows at most are unaccounted for.
        counted: a size that is not judged yet.
        asked: what was known of writes when it was looked at last, before that.
        settled: likewise, when all rows were accounted for: until more is written there is
            nothing to look at.
    """

    born: float
    looks: deque[_Look]
    suspicion: _Look | None = None
    size: _Size | None = None
    counted: _Counted | None = None
    due: float = 0.0
    asked: tuple[object, ...] | None = None
    settled: tuple[object, ...] | None = None
    settled_at: Moment = NEVER


class Auditor:
    """Compares tables with what was received. One audit a table at a time.

    Args:
        history: what was received.
        arrived: returns once all that arrived before is in the history.
        times: of the looks.
    """

    def __init__(self, history: History, arrived: Callable[[], object], times: AuditTimes) -> None:
        self._history = history
        self._arrived = arrived
        self._times = times
        self._states: WeakKeyDictionary[TableMonitor, _State] = WeakKeyDictionary()

    def due(self, table: TableMonitor, now: float) -> bool:
        """Whether it is time for a look, by the monotonic clock."""
        state = self._states.get(table)
        return state is None or now >= state.due

    def forget(self, table: TableMonitor) -> None:
        """Forget a table, or what was seen of it before a gap."""
        self._states.pop(table, None)

    def audit(self, table: TableMonitor, cluster: Cluster, now: Moment) -> Finding | None:
        """Look at a table; None where that proved nothing.

        Raises:
            WireError: the cluster did not answer.
        """
        state = self._states.get(table)
        if state is None or state.born != table.born_at:
            state = self._states[table] = _State(table.born_at, deque(maxlen=_REACH))
        state.due = now.order + self._times.every
        written = _written(table, now)
        if written is not None and written == state.settled:
            return Finding(0, state.settled_at)
        before, state.asked = state.asked, written
        column = _growing(table)
        if column is not None:
            # What is found is of the look before this one; of a suspicion, of one before that.
            asked = written if written == before and state.suspicion is None else None
            finding = self._by_column(state, table, cluster, column, now)
        elif table.options.filter is None and {"insert", "delete"} <= set(table.options.events):
            # What a size proves is of when it was asked for, at the call before this one.
            finding = self._by_size(state, table, cluster, now)
            asked = before
        else:
            return None
        if finding is not None:
            state.settled, state.settled_at = (None if finding.rows else asked), now
        return finding

    def _by_column(
        self, state: _State, table: TableMonitor, cluster: Cluster, column: Column, now: Moment
    ) -> Finding | None:
        suspect = state.suspicion
        if suspect is not None and suspect.low is not None:
            state.suspicion = None
            return self._confirm(state, table, cluster, column, suspect, suspect.low)
        due = state.looks[-1] if state.looks else None
        self._look(state, table, cluster, column, now)
        if due is None or due.low is None or now.order < due.at.order + self._times.every / 2:
            return None
        received = self._received(table, column, _before(due.low), due.low.height, due.height)
        if received is None:
            return None
        if due.rows <= received:
            return Finding(0, due.low.at)
        state.suspicion, state.due = due, now.order + self._times.confirm
        return None

    def _confirm(
        self,
        state: _State,
        table: TableMonitor,
        cluster: Cluster,
        column: Column,
        suspect: _Look,
        low: _Look,
    ) -> Finding | None:
        above = None if low.height is None else f"{column.name} > {literal(column, low.height)}"
        top = f"{column.name} <= {literal(column, suspect.height)}"
        there = _count(table, cluster, all_of(above, top))
        received = self._received(table, column, _before(low), low.height, suspect.height)
        if received is None:
            return None
        missed = self._unmoved(table, column, suspect, low, max(0, there - received))
        if missed:
            state.looks.clear()
        return None if missed is None else Finding(missed, low.at)

    def _unmoved(
        self, table: TableMonitor, column: Column, suspect: _Look, low: _Look, missed: int
    ) -> int | None:
        """Return how many of some rows that were not received are there by no update.

        Updates move rows and add none. None where that cannot be told.
        """
        told = "update" in table.options.events
        if not missed or (told and table.counts.received["update"] == low.updates):
            return missed
        if table.options.filter is not None:
            return None  # an update brings rows under it
        came = self._received(table, column, low.at.wall, None, suspect.height)
        return None if came is None else max(0, min(missed, suspect.there - low.there - came))

    def _look(
        self, state: _State, table: TableMonitor, cluster: Cluster, column: Column, now: Moment
    ) -> None:
        """Ask in one call how many rows lie above an earlier look, and how high the column is.

        How many there are in all is asked before.
        """
        updates = table.counts.received["update"]
        there = _count(table, cluster, None)
        low = state.looks[0] if state.looks else None
        low = low and replace(low, low=None)
        above = None if low is None else low.height
        where = None if above is None else f"{column.name} > {literal(column, above)}"
        where = all_of(table.options.filter, where or f"not {column.name} is null")
        page = cluster.read_rows(Query(table.name, where, column.name, "descending"), 0, 1)
        height = above
        if page.frames and table.schema is not None and page.type_id == table.schema.type_id:
            (row,) = compile_schema(table.schema).decode(page.frames[0], 1)
            height = row[column.name]
        state.looks.append(_Look(now, height, low, page.total, there, updates))

    def _received(
        self, table: TableMonitor, column: Column, since: float, low: Any, high: Any
    ) -> int | None:
        """Return how many rows were received since a moment between two values, high included.

        Where there is no low one, nulls are among them. None where some that were received then
        are stored no more.
        """
        if high is None:
            return 0
        self._arrived()
        bottom = None if low is None else comparable(column, low)
        top = comparable(column, high)
        since = max(table.born_at, since)
        follow = self._history.follow(table.name, since)
        codecs: dict[Schema, Codec] = {}
        try:
            count = sum(_between(codecs, rows, column, bottom, top) for rows in follow.more())
        finally:
            follow.close()
        # Asked after it was read: meanwhile it may have been pruned.
        return count if self._history.kept(since) else None

    def _by_size(
        self, state: _State, table: TableMonitor, cluster: Cluster, now: Moment
    ) -> Finding | None:
        counted, state.counted = state.counted, None
        if counted is None:
            state.counted = self._ask_size(table, cluster, now)
            if state.counted is not None:
                state.due = now.order + self._times.confirm
            return None
        state.due = counted.at.order + self._times.every
        seen, last = self._judge(table, counted), state.size
        if seen is None or last is None or seen.explained != last.explained:
            state.size = seen
            return None
        missed = max(0, seen.least - last.most)
        if missed:
            state.size = None
        elif seen.most <= last.most:
            state.size = seen
        else:  # something was under way, or a loss hides: a pause would tell
            state.due = now.order
        return Finding(missed, last.at)

    def _ask_size(self, table: TableMonitor, cluster: Cluster, now: Moment) -> _Counted | None:
        self._arrived()
        heard, explained = table.counts, _explained(table)
        inserted, deleted = heard.received["insert"], heard.deleted_rows
        info = cluster.table(table.name, sizes=True)
        if info is None or info.rows is None:
            return None
        return _Counted(now, info.rows, inserted, deleted, explained)

    def _judge(self, table: TableMonitor, counted: _Counted) -> _Size | None:
        """Return what a size says now that what was under way has come; None after a gap."""
        self._arrived()
        if _explained(table) != counted.explained:
            return None
        return _Size(
            counted.at,
            counted.rows - (table.counts.received["insert"] - counted.deleted),
            counted.rows - (counted.inserted - table.counts.deleted_rows),
            counted.explained,
        )


def _before(look: _Look) -> float:
    return look.at.wall - _SLACK_SECONDS


def _explained(table: TableMonitor) -> tuple[int, ...]:
    counts = table.counts
    return counts.gaps.total(), counts.received["read"], counts.decode_errors


def _written(table: TableMonitor, now: Moment) -> tuple[object, ...] | None:
    """Return what is another after any write; None where the cluster counts none."""
    mark = table.writes.before(now.earlier(-2 * MARGIN_SECONDS))
    if mark is None:
        return None
    heard = table.counts.received
    counted = mark.cluster, mark.identity, mark.write_count, mark.last_write_time
    return (*counted, heard["insert"], heard["delete"], *_explained(table))


def _growing(table: TableMonitor) -> Column | None:
    schema, name = table.schema, table.options.growing_column
    if schema is None or name is None:
        return None
    return next((c for c in schema.columns if c.name == name and c.base != "bytes"), None)


def _count(table: TableMonitor, cluster: Cluster, where: str | None) -> int:
    """Return how many rows the table has that meet a condition."""
    query = Query(table.name, all_of(table.options.filter, where))
    return cluster.read_rows(query, 0, 1).total


def _between(
    codecs: dict[Schema, Codec], rows: ReceivedRows, column: Column, bottom: Any, top: Any
) -> int:
    """Return how many of some rows lie above `bottom`, up to `top`; nulls where it is None."""
    kind = next((c for c in rows.schema.columns if c.name == column.name), None)
    if kind is None:
        return 0
    codec = codecs.setdefault(rows.schema, compile_schema(rows.schema))
    count = 0
    with contextlib.suppress(DecodeError):
        least = codec.lowest(rows.payload, rows.count, column.name)
        most = codec.highest(rows.payload, rows.count, column.name)
        if least is None or most is None:
            return rows.count if bottom is None else 0
        low, high = comparable(kind, least[0]), comparable(kind, most[0])
        if high <= top and (bottom is None or (low > bottom and not least[1])):
            return rows.count
        if bottom is not None and (low > top or high <= bottom):
            return 0
        for payload, number in chunks(codec, rows.payload, rows.count):
            for row in codec.decode(payload, number):
                if row[column.name] is None:
                    count += bottom is None
                else:
                    value = comparable(kind, row[column.name])
                    count += (bottom is None or value > bottom) and value <= top
    return count
