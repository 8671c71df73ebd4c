"""Reading `state.db`: lanes, counts and dead letters; also beside a running bridge."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from bridge.errors import JournalError, JournalUnavailable
from bridge.journal.database import connect_reader
from bridge.journal.lane import LaneState
from bridge.journal.layout import (
    FORMAT,
    Spans,
    exists,
    list_files,
    newer_format,
    no_journal,
    state_path,
    unwritable,
)
from bridge.journal.letters import count_letters, filter_values, letter_of, load_sums, size_of
from bridge.journal.queries import QUERIES
from bridge.journal.records import DeadLetter, LetterFilter, LetterSum
from bridge.journal.replay import FACT, Replay, load_replays
from bridge.journal.rows import checksum
from bridge.journal.troubles import translated

_Result = TypeVar("_Result")


class StateReader:
    """A read-only connection to `state.db`, open inside a `with` block.

    Every method raises JournalError where the file cannot be read.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        path = state_path(self._journal)
        try:
            found = exists(path)
            empty = not found and not list_files(self._journal)
        except OSError as error:
            raise translated(error, self._journal, path) from error
        if empty:
            raise no_journal(self._journal)
        if not found:
            raise JournalUnavailable(
                f"journal {self._journal}: {path.name} is missing",
                hint="start the bridge once: it rebuilds the file",
            )
        if not os.access(path, os.R_OK):
            raise unwritable(self._journal, path, "it cannot be read")
        self._connection = self._guard(lambda: connect_reader(path))
        try:
            self._require_format(int(self._ask(load_meta).get("format", "0")))
        except BaseException:
            self._connection.close()
            raise
        return self

    def _require_format(self, version: int) -> None:
        if version > FORMAT:
            raise newer_format(self._journal, version)
        if version < FORMAT:
            raise JournalUnavailable(
                f"journal {self._journal} was written by an older version",
                hint="start the bridge once: it upgrades the journal",
            )

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def journal_id(self) -> str:
        """Return the journal's id."""
        return self._ask(load_meta)["journal_id"]

    def created(self) -> int | None:
        """Return a time before all of its entries, microseconds; None where that is not known."""
        created = self._ask(load_meta).get("created")
        return None if created is None else int(created)

    def thinned(self) -> Spans:
        """Return the spans in which only what some lane waits for is kept."""
        return spans_of(self._ask(load_meta))

    def lanes(self) -> dict[str, dict[str, LaneState]]:
        """Return the lanes of every registered sink, by table, of one moment."""
        sinks, lanes = self._ask(_load_sinks_and_lanes)
        found: dict[str, dict[str, LaneState]] = {
            sink: {} for sink, registered in sorted(sinks.items()) if registered
        }
        for (sink, table), lane in sorted(lanes.items(), key=lambda item: item[0]):
            if sink in found:
                found[sink][table] = lane
        return found

    def dead_letters(
        self, which: LetterFilter, limit: int, max_bytes: int, *, entries: bool
    ) -> list[DeadLetter]:
        """Return events set aside, oldest first; see `JournalReader.dead_letters`."""
        return self._ask(lambda c: _load_letters(c, which, limit, max_bytes, entries=entries))

    def count_dead_letters(
        self, which: LetterFilter, limit: int | None
    ) -> tuple[Counter[tuple[str, str]], int]:
        """Return how many there are by lane, and the last number; see `count_letters`."""
        rows = self._ask(lambda c: count_letters(c, which, limit))
        counts = Counter({(sink, table): count for sink, table, count, _ in rows})
        return counts, max((last for *_, last in rows), default=0)

    def letters_of(self, table: str, offset: int) -> dict[str, int]:
        """Return the numbers under which an event is set aside, by sink."""
        values = offset, table
        return dict(self._ask(lambda c: c.execute(QUERIES["letters_of_event"], values).fetchall()))

    def sum_dead_letters(self) -> dict[tuple[str, str], LetterSum]:
        """Return what there is of dead letters, by sink and table."""
        return self._ask(load_sums)

    def replays(self) -> list[Replay]:
        """Return what is delivered again, and what was, in the order it was asked for."""
        fact = self._ask(load_meta).get(FACT)
        return self._guard(lambda: list(load_replays(fact).known.values()))

    def last_dead_letter(self) -> int:
        """Return the number given last."""
        return int(self._ask(lambda c: c.execute(QUERIES["last_dead_letter"]).fetchone())[0])

    def paused(self) -> dict[tuple[str, str], int]:
        """Return what rests and since when, by sink and table."""
        return self._ask(load_paused)

    def _ask(self, question: Callable[[sqlite3.Connection], _Result]) -> _Result:
        connection = self._connection
        if connection is None:
            raise JournalError(f"journal {self._journal}: state.db is not open")
        return self._guard(lambda: question(connection))

    def _guard(self, act: Callable[[], _Result]) -> _Result:
        try:
            return act()
        except sqlite3.Error as error:
            raise translated(error, self._journal, state_path(self._journal)) from error
        except (ValueError, KeyError) as error:
            raise JournalError(
                f"journal {self._journal}: cannot read state.db: {error}",
                hint="if it is damaged, restart the bridge: it rebuilds the file",
            ) from error


def load_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """Read the facts of the file.

    Raises:
        ValueError: one of them is not what was written.
        sqlite3.Error: the file cannot be read.
    """
    return dict(_intact(connection, "get_meta", 2))


def spans_of(meta: dict[str, str]) -> Spans:
    """Return the thinned spans that the facts of a file tell; raises as `load_meta`."""
    return tuple((first, end) for first, end in json.loads(meta["thinned"]))


def load_sinks(connection: sqlite3.Connection) -> dict[str, bool]:
    """Read which sinks there are and whether they are registered; raises as `load_meta`."""
    return {sink: bool(registered) for sink, registered in _intact(connection, "get_sinks", 2)}


def load_lanes(connection: sqlite3.Connection) -> dict[tuple[str, str], LaneState]:
    """Read all lanes by sink and table; raises as `load_meta`."""
    waiting: dict[tuple[str, str], list[int]] = {}
    for sink, table, offset in connection.execute(QUERIES["get_waiting"]):
        waiting.setdefault((sink, table), []).append(offset)
    lanes: dict[tuple[str, str], LaneState] = {}
    for row in _intact(connection, "get_lanes", 11):
        sink, table, cursor, base, delivered, dead_lettered, discarded, active, *rest = row
        waits, total, events = rest
        offsets = tuple(waiting.get((sink, table), ()))
        if len(offsets) != waits or sum(offsets) != total:
            raise ValueError(f"what waits of {table} for {sink} is damaged")
        lanes[sink, table] = LaneState(
            cursor,
            base,
            delivered,
            dead_lettered,
            discarded,
            bool(active),
            offsets,
            None if events is None else frozenset(events.split(",")),
        )
    return lanes


def _load_letters(
    connection: sqlite3.Connection,
    which: LetterFilter,
    limit: int,
    max_bytes: int,
    *,
    entries: bool,
) -> list[DeadLetter]:
    values = filter_values(which) | {"limit": limit, "entries": entries}
    found: list[DeadLetter] = []
    size = 0
    for row in connection.execute(QUERIES["get_dead_letters"], values):
        letter = letter_of(row)
        found.append(letter)
        size += size_of(letter)
        if size >= max_bytes:
            break
    return found


def _load_sinks_and_lanes(
    connection: sqlite3.Connection,
) -> tuple[dict[str, bool], dict[tuple[str, str], LaneState]]:
    connection.execute("BEGIN")
    try:
        return load_sinks(connection), load_lanes(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _intact(connection: sqlite3.Connection, query: str, width: int) -> list[tuple[Any, ...]]:
    rows = connection.execute(QUERIES[query]).fetchall()
    for row in rows:
        if checksum(*row[:width]) != row[width]:
            raise ValueError(f"state.db is damaged: {row[0]!r} is not what was written")
    return [row[:width] for row in rows]


def load_paused(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Read what rests, by sink and table (empty for the whole sink), and since when."""
    return {(sink, table): at for sink, table, at in connection.execute(QUERIES["get_paused"])}
