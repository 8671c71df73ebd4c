"""Dead letters as rows of `state.db`, and back; what there is of them, lane by lane.

Each holds the event as JSON, as its sink would have seen it, and the entry of that one event, so
that it can be delivered again in any form once the journal has it no more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from bridge.journal.queries import QUERIES
from bridge.journal.records import DeadLetter, LetterFilter, LetterSum, StoredEntry
from bridge.journal.rows import (
    Origin,
    draft_of,
    parse_schema_text,
    row_checksum,
    schema_text,
    stored_entry,
)

# What a row takes besides its texts and bytes.
_ROW_BYTES = 256
# So many are looked for, or deleted, in one go.
_STEP = 1000

LaneKey = tuple[str, str]
Pruned = Literal["size", "age"]


class Retried(NamedTuple):
    """A dead letter whose replay failed.

    Attributes:
        number: which.
        reason: why this time.
        answer: what the destination said this time.
        attempts: how often it was tried for the replay.
    """

    number: int
    reason: str
    answer: str | None = None
    attempts: int = 1


@dataclass(slots=True)
class LetterBook:
    """What there is, in memory: sums by sink and table, and how many were pruned.

    Attributes:
        sums: of those that there are.
        pruned: by sink and reason, over the journal's whole life.
    """

    sums: dict[LaneKey, LetterSum] = field(default_factory=dict)
    pruned: dict[tuple[str, Pruned], int] = field(default_factory=dict)

    @classmethod
    def load(cls, connection: sqlite3.Connection, meta: Mapping[str, str]) -> LetterBook:
        """Count what an open file holds."""
        pruned = {
            (sink, reason): events
            for sink, reason, events in json.loads(meta.get("letters_pruned", "[]"))
        }
        return cls(load_sums(connection), pruned)

    def add(self, letters: Sequence[DeadLetter], now: int) -> None:
        """Count letters that were stored."""
        for letter in letters:
            key = letter.sink, letter.table
            before = self.sums.get(key, LetterSum(0, 0, now))
            size = size_of(letter)
            self.sums[key] = LetterSum(before.count + 1, before.bytes + size, before.oldest)

    def remove(self, gone: Collection[tuple[int, str, str, int]]) -> None:
        """Count letters that are gone: number, sink, table and size of each."""
        for _, sink, table, size in gone:
            before = self.sums.get((sink, table))
            if before is None:
                continue
            left = before._replace(count=before.count - 1, bytes=before.bytes - size)
            if left.count > 0:
                self.sums[sink, table] = left
            else:
                del self.sums[sink, table]

    def note_oldest(self, key: LaneKey, oldest: int) -> None:
        """Note when the oldest one of a lane was set aside."""
        if key in self.sums:
            self.sums[key] = self.sums[key]._replace(oldest=oldest)

    def with_pruned(self, sink: str, counts: Mapping[Pruned, int]) -> dict[tuple[str, Pruned], int]:
        """Return the counts of what was pruned, with some more."""
        return self.pruned | {
            (sink, reason): self.pruned.get((sink, reason), 0) + events
            for reason, events in counts.items()
        }


def pruned_text(pruned: Mapping[tuple[str, Pruned], int]) -> str:
    """Return counts of what was pruned as they are stored."""
    return json.dumps([[*key, count] for key, count in sorted(pruned.items())])


def load_sums(connection: sqlite3.Connection) -> dict[LaneKey, LetterSum]:
    """Count the letters of an open file, by sink and table."""
    rows = connection.execute(QUERIES["sum_dead_letters"])
    return {(sink, table): LetterSum(count, size, at) for sink, table, count, size, at in rows}


def size_of(letter: DeadLetter) -> int:
    """Return about the bytes that a letter takes on disk."""
    size = _ROW_BYTES + len(letter.reason) + len(letter.answer or "")
    size += len(letter.value or b"") + len(letter.raw or b"")
    return size + (draft_of(letter.entry).size if letter.entry is not None else 0)


def put_letters(connection: sqlite3.Connection, letters: Sequence[DeadLetter], now: int) -> None:
    """Store letters, within a transaction.

    Args:
        connection: writes `state.db`.
        letters: without a number.
        now: when they were set aside.
    """
    put_rows(connection, [_row(letter, now) for letter in letters])


def put_rows(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Store rows as `salvage_dead_letters` gives them."""
    schemas = {row[_SCHEMA] for row in rows} - {None}
    connection.executemany(QUERIES["put_letter_schema"], [(each,) for each in schemas])
    connection.executemany(QUERIES["put_dead_letter"], rows)


_SCHEMA = 14


def _row(letter: DeadLetter, now: int) -> tuple[object, ...]:
    own = (
        letter.sink,
        letter.table,
        letter.offset,
        letter.id,
        letter.time,
        now,
        letter.reason,
        letter.value,
        letter.raw,
        letter.attempts,
        letter.answer,
        size_of(letter),
    )
    if letter.entry is None:
        return (*own, None, None, None, None, None, None)
    draft = draft_of(letter.entry)
    schema = None if draft.schema is None else schema_text(draft.schema)
    # The time of a letter is that of its event, and so its entry's.
    check = row_checksum(
        letter.offset, draft.events, draft.kind, letter.time, 0, draft.detail, draft.payload
    )
    return (*own, draft.kind, draft.cluster, schema, check, draft.detail, draft.payload)


def letter_of(row: Sequence[Any]) -> DeadLetter:
    """Return the letter that a row of `get_dead_letters` holds; a damaged entry is left out."""
    *own, kind, cluster, schema, check, detail, payload = row
    letter = DeadLetter(*own)
    if kind is None:
        return letter
    entry = _entry(letter, kind, cluster, schema, check, detail, payload)
    return replace(letter, entry=entry)


def _entry(
    letter: DeadLetter,
    kind: str,
    cluster: str,
    schema: str | None,
    check: int,
    detail: str | None,
    payload: bytes | None,
) -> StoredEntry | None:
    if check != row_checksum(letter.offset, 1, kind, letter.time, 0, detail, payload):
        return None
    try:
        layout = None if schema is None else parse_schema_text(schema)
        origin = Origin(letter.table, cluster, layout)
        return stored_entry(1, kind, letter.time, origin, detail, payload)
    except (ValueError, KeyError, TypeError):
        return None


def filter_values(which: LetterFilter) -> dict[str, Any]:
    """Return a filter as the values of `get_dead_letters` and `find_dead_letters`."""
    numbers = None if which.numbers is None else json.dumps(sorted(which.numbers))
    return {
        "sink": which.sink,
        "table": which.table,
        "since": which.since,
        "reason": which.reason,
        "after": which.after,
        "numbers": numbers,
    }


def find_letters(
    connection: sqlite3.Connection, which: LetterFilter, limit: int = _STEP
) -> list[tuple[int, str, str, int]]:
    """Return number, sink, table and size of the first letters that a filter lets through."""
    values = filter_values(which) | {"limit": limit}
    return connection.execute(QUERIES["find_dead_letters"], values).fetchall()


def count_letters(
    connection: sqlite3.Connection, which: LetterFilter, limit: int | None
) -> list[tuple[str, str, int, int]]:
    """Return how many letters of each lane a filter lets through, and the last one's number."""
    values = filter_values(which) | {"limit": -1 if limit is None else limit}
    return connection.execute(QUERIES["count_dead_letters"], values).fetchall()


def delete_letters(connection: sqlite3.Connection, numbers: Collection[int]) -> None:
    """Delete letters, within a transaction."""
    connection.execute(QUERIES["delete_dead_letters"], (json.dumps(sorted(numbers)),))


def oldest_letters(connection: sqlite3.Connection, key: LaneKey) -> list[tuple[int, int, int]]:
    """Return number, time and size of a lane's oldest letters."""
    return connection.execute(QUERIES["oldest_dead_letters"], (*key, _STEP)).fetchall()


def note_retried(connection: sqlite3.Connection, retried: Collection[Retried]) -> None:
    """Store why replays failed, within a transaction."""
    rows = [(each.reason, each.answer, each.attempts, each.number) for each in retried]
    connection.executemany(QUERIES["retried_dead_letter"], rows)
