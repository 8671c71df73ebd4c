"""The contract of a form: one way to write a schema's records as lines.

A line is what a *template* says: literal bytes, and slots that are filled for each record.
What stands in a record's JSON object, or its line of CSV, is compiled once, in the form; what
stands around it (table, cluster, times) comes with each call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple, get_args

import orjson

from bridge.events import Schema, Times
from bridge.types import JsonForm, type_of

Values = Literal["declared", "kinetica"]
"""Which forms values take: what the declared type means, or those that Kinetica sends."""


class Slot(IntEnum):
    """What a template leaves open; the compiled module knows them by the same numbers."""

    OFFSET = 0  # decimal
    OFFSET20 = 1  # decimal, padded with zeros to 20 digits
    TIME = 2  # 2026-11-23T08:42:00.123456Z
    TIME_MS = 3  # milliseconds since the epoch, a number
    TIME_US = 4
    TIME_NS = 5
    RECORD = 6  # the record's columns as a JSON object
    KEY = 7  # the key's columns as a JSON object
    KEY_TEXT = 8  # that object as a JSON string, with its quotes
    CSV = 9  # the record's columns as a line of CSV, RFC 4180, without its end


Template = Sequence[bytes | Slot]

FIRST_US = -62_135_596_800_000_000
"""The first microsecond of the year 0001, counted from the epoch."""
LAST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_MOST_OFFSET = 2**63 - 1


Mask = Literal["hash", "redact"]
"""What stands in place of a value that must not be seen.

`hash` is a string of hexadecimal digits, an HMAC-SHA-256 over the text of a string, or over the
JSON of any other value; null stays null. `redact` is `"***"`, also for null.
"""


class Member(NamedTuple):
    """A column as it is to appear in an object.

    Attributes:
        column: its name in the table.
        name: its name in the object.
        mask: what stands in place of its values, None for the values themselves.
        mask_key: of the hashes.
        form: how its values are written, None for what the form's `values` say.
    """

    column: str
    name: str
    mask: Mask | None = None
    mask_key: bytes = b""
    form: JsonForm | None = None

    def __repr__(self) -> str:  # the key of hashes is a secret
        return f"Member({self.column!r}, {self.name!r}, {self.mask!r})"


def members(names: Iterable[str]) -> tuple[Member, ...]:
    """Return columns as members that are as the columns are.

    >>> members(["id"])
    (Member('id', 'id', None),)
    """
    return tuple(Member(name, name) for name in names)


class WrittenColumn(NamedTuple):
    """One member of a JSON object.

    Attributes:
        place: the column's place in the record.
        form: how its values are written.
        name: the member's name as JSON, with the colon behind it.
        mask: what stands in place of its values, None for the values themselves.
        mask_key: of the hashes.
    """

    place: int
    form: JsonForm
    name: bytes
    mask: Mask | None
    mask_key: bytes

    def __repr__(self) -> str:  # the key of hashes is a secret
        return f"WrittenColumn({self.place}, {self.form!r}, {self.name!r}, {self.mask!r})"


class Written(NamedTuple):
    """Lines with their ends, keys with theirs; an end is unsigned 64-bit."""

    lines: bytes
    ends: memoryview
    keys: bytes | None
    key_ends: memoryview | None


def written_columns(
    schema: Schema, values: Values, wanted: Sequence[Member] | None
) -> tuple[WrittenColumn, ...]:
    """Compile an object's members; None means all columns as they are.

    Raises:
        ValueError: no such column or mask, or `values` is neither form.
    """
    if values not in get_args(Values):
        raise ValueError(f"values must be one of {get_args(Values)}, not {values!r}")
    places = {column.name: place for place, column in enumerate(schema.columns)}
    if missing := [member.column for member in wanted or () if member.column not in places]:
        raise ValueError(f"no column {', '.join(missing)} among {', '.join(places)}")
    masks = get_args(Mask)
    if unknown := [str(m.mask) for m in wanted or () if m.mask not in {None, *masks}]:
        raise ValueError(f"no mask {', '.join(unknown)} among {', '.join(masks)}")
    written = []
    for member in members(places) if wanted is None else wanted:
        kind = type_of(schema.columns[places[member.column]])
        form = member.form or (kind.declared if values == "declared" else kind.kinetica)
        name = orjson.dumps(member.name) + b":"
        place = places[member.column]
        written.append(WrittenColumn(place, form, name, member.mask, member.mask_key))
    return tuple(written)


def check_frame(template: Template, count: int, first: int, times: Times, *, keyed: bool) -> None:
    """Refuse what no line can be made of; the compiled module does so by itself, in C.

    Raises:
        ValueError: a negative count or offset, times that are not those of `count` records, a
            time out of the years 0001 to 9999, or a key where the form has none.
        TypeError: a piece that is neither bytes nor a slot.
    """
    if count < 0:
        raise ValueError("a count of records is not negative")
    if first < 0 or first + count > _MOST_OFFSET:
        raise ValueError("offsets have 63 bits")
    for piece in template:
        if not isinstance(piece, (bytes, Slot)):
            raise TypeError(f"a template has bytes and slots, not {type(piece).__name__}")
    if not keyed and not {Slot.KEY, Slot.KEY_TEXT}.isdisjoint(template):
        raise ValueError("the form has no key")
    if any(records < 0 for records, _ in times) or sum(run[0] for run in times) != count:
        raise ValueError(f"times of other than {count} records")
    if any(not FIRST_US <= time <= LAST_US for _, time in times):
        raise ValueError("a time out of the years 0001 to 9999")


def key_frame(template: Template | None) -> tuple[bytes, bytes]:
    """Return what stands before and behind each key.

    Raises:
        ValueError: the template has other slots than one for the key.
    """
    if template is None:
        return b"", b""
    slots = [piece for piece in template if not isinstance(piece, bytes)]
    if slots != [Slot.KEY]:
        raise ValueError("a key's template is bytes around one Slot.KEY")
    at = list(template).index(Slot.KEY)
    before, after = template[:at], template[at + 1 :]
    return b"".join(map(bytes, before)), b"".join(map(bytes, after))


def unsigned(numbers: Iterable[int] | bytes) -> memoryview:
    """Show numbers, or the bytes of such, as the ends that a `Written` has."""
    return memoryview(array("Q", numbers))


class Form(ABC):
    """Writes the records of one schema in one way. Immutable, for any number of threads.

    Attributes:
        record: the members of a record's object.
        key: the members of its key's object, None where it has no key.
    """

    def __init__(
        self,
        schema: Schema,
        values: Values,
        columns: Sequence[Member] | None,
        key: Sequence[Member] | None,
    ) -> None:
        self.schema = schema
        self.record = written_columns(schema, values, columns)
        self.key = written_columns(schema, values, key) if key else None

    @abstractmethod
    def lines(
        self,
        payload: bytes,
        count: int,
        *,
        template: Template,
        first: int,
        times: Times,
        key_template: Template | None = None,
    ) -> Written:
        """Write each of the `count` records in `payload` as a line, and its key.

        A line is the template's pieces in their order, then a line feed; a key is a JSON object
        without one.

        Args:
            payload: the records.
            count: how many.
            template: what a line is made of.
            first: offset of the first record.
            times: when they were received: runs of (records, microseconds since the epoch).
            key_template: bytes around one `Slot.KEY`, for keys that are more than their object;
                it has no part in the lines, and none where the form has no key.

        Returns:
            The lines and where each ends; the keys likewise, None where the form has no key.

        Raises:
            DecodeError: at the first bad record. Bytes left over count as the last one's.
            ValueError: a negative count or offset, times that are not those of `count` records
                or lie out of the years 0001 to 9999, a key slot without a key, or a key's
                template that is none.
        """
