"""The values that travel through the house.

The monitor hands *entries* to the journal: what arrived, raw. Delivery turns each entry
into one or more *events*: what a sink gets. Times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC; without a zone it prints as we want)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: its name.
        base: its Avro type on the wire: int, long, float, double, string or bytes.
        type: its declared type as Kinetica names it: `decimal(10,2)`, `char16`, `int8`,
            `array(int,3)`, `vector(4)`; the base type where nothing finer is declared.
        nullable: whether the wire form is a union with null, null second.
    """

    name: str
    base: str
    type: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """A table's record layout: columns in wire order, under Kinetica's type id."""

    type_id: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()


Times = tuple[tuple[int, int], ...]
"""When the records of a block were received: runs of (records, microseconds), in order."""

ReadCause = Literal["gap", "snapshot", "update"]


@dataclass(frozen=True, slots=True)
class Block:
    """Records of one table, layout and cluster that arrived together, validated, as bytes.

    Attributes:
        table: the qualified name of the table.
        cluster: the URL they came from.
        type: insert, or read where they were fetched from the table.
        schema: their layout; equal schemas that come from one place are one object.
        payload: the records' Avro bytes one after the other; the schema tells them apart.
        count: how many records.
        times: when they were received; the runs add up to `count`.
        cause: why they were read, None for an insert.
    """

    table: str
    cluster: str
    type: Literal["insert", "read"]
    schema: Schema
    payload: bytes
    count: int
    times: Times
    cause: ReadCause | None = None

    @property
    def time(self) -> int:
        """When the first of them was received."""
        return self.times[0][1]


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows one update or delete touched."""

    table: str
    cluster: str
    time: int
    type: Literal["update", "delete"]
    count: int


@dataclass(frozen=True, slots=True)
class Alter:
    """The table's layout changed."""

    table: str
    cluster: str
    time: int
    old: Schema
    new: Schema


@dataclass(frozen=True, slots=True)
class Drop:
    """The table was dropped."""

    table: str
    cluster: str
    time: int


GapReason = Literal[
    "start",
    "disconnected",
    "monitor_lost",
    "altered",
    "failover",
    "overrun",
    "journal_full",
    "journal_damaged",
    "unaccounted",
]


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which events may have been missed; `rows` and `by` only once it is closed."""

    table: str
    cluster: str
    time: int
    gap: str
    since: int
    until: int
    reason: GapReason
    closed: bool = False
    rows: int | None = None
    by: Literal["quiet", "read", "accepted"] | None = None


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A frame that is no record of its table, kept whole with the reason."""

    table: str
    cluster: str
    time: int
    payload: bytes
    reason: str


Entry = Block | Count | Alter | Drop | Gap | Undecodable

EventType = Literal["insert", "update", "delete", "alter", "drop", "read", "gap"]


class Event(NamedTuple):
    """What a sink gets.

    Attributes:
        offset: the event's position in the journal, never reused.
        id: `<16 hex digits of the journal's id>-<offset>`, equal on every redelivery.
        type: insert, read, update, delete, alter, drop or gap.
        table: the qualified name of the table.
        time: when it was received, microseconds since the epoch.
        key: the message key as compact JSON, None where a row has none.
        value: the event as one compact UTF-8 JSON object, without a newline.
    """

    offset: int
    id: str
    type: EventType
    table: str
    time: int
    key: bytes | None
    value: bytes


def rfc3339(time: int) -> str:
    """Write microseconds since the epoch as `2026-11-23T08:42:00.123456Z`.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    return (_EPOCH + timedelta(microseconds=time)).isoformat(timespec="microseconds") + "Z"
