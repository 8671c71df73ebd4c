"""A table's rows as an Avro schema: names, types and defaults, and how the codec writes them.

Columns come and go, and a reader of the new schema must be able to read what was written before
(the compatibility `BACKWARD`). So every field has a default but those of the primary key: null
where the column may be null, else what Kinetica itself puts into the rows that were there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from bridge.codec import AvroColumn, AvroForm, Member
from bridge.codec.avro import MOST_DIGITS
from bridge.errors import Retry
from bridge.events import Column, Schema
from bridge.formats.shape import Shape, members_of
from bridge.types import type_of

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")
# Of a decimal without parameters.
_DIGITS, _SCALE = 18, 4
_ULONG_DIGITS = 20
_NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """How a table's rows are written.

    Attributes:
        name: the record's full name.
        text: the schema, as it is registered.
        columns: for the codec.
    """

    name: str
    text: str
    columns: tuple[AvroColumn, ...]


class _Kind(NamedTuple):
    type: Any
    default: Any
    form: AvroForm = AvroForm.COPY
    digits: int = 0
    scale: int = 0


def legal(name: str) -> str:
    """Return a name that Avro allows.

    >>> [legal(name) for name in ("order_id", "unit price", "2nd")]
    ['order_id', 'unit_price', '_2nd']
    """
    name = _ILLEGAL.sub("_", name)
    return f"_{name}" if not name or name[0].isdigit() else name


@lru_cache(maxsize=4096)
def avro_schema(table: str, schema: Schema, shape: Shape) -> AvroSchema:
    """Return the schema of a table's rows.

    Raises:
        Retry: shaping leaves two columns of one name, or names that Avro takes for one.
    """
    members = members_of(schema, shape)
    _refuse_twins(members)
    places = {column.name: place for place, column in enumerate(schema.columns)}
    fields, columns = [], []
    for member in members:
        place = places[member.column]
        column = schema.columns[place]
        kind = _kind(column, member, shape)
        field: dict[str, Any] = {"name": legal(member.name)}
        if field["name"] != member.name:
            field["doc"] = member.name
        if column.nullable and member.mask != "redact":  # stars stand in place of null too
            field |= {"type": ["null", kind.type], "default": None}
        elif member.column in schema.primary_key:
            field |= {"type": kind.type}
        else:
            field |= {"type": kind.type, "default": kind.default}
        fields.append(field)
        columns.append(_written(place, column, kind, member, shape))
    space, dot, name = table.partition(".")
    named = {"name": legal(name), "namespace": legal(space)} if dot else {"name": legal(table)}
    full = ".".join(reversed(named.values()))
    record = {"type": "record", **named, "doc": table, "fields": fields}
    return AvroSchema(full, json.dumps(record, separators=(",", ":")), tuple(columns))


def _kind(column: Column, member: Member, shape: Shape) -> _Kind:
    if member.mask is not None:
        return _BASE["string"]._replace(form=AvroForm(member.mask))
    return _declared(column) if shape.values == "declared" else _BASE[column.base]


def _written(place: int, column: Column, kind: _Kind, member: Member, shape: Shape) -> AvroColumn:
    if member.mask != "hash":
        return AvroColumn(place, kind.form, kind.digits, kind.scale)
    meant = type_of(column)  # equal values have equal hashes, whatever the format
    json_form = meant.declared if shape.values == "declared" else meant.kinetica
    return AvroColumn(place, kind.form, json=json_form, mask_key=member.mask_key)


def _refuse_twins(members: Sequence[Member]) -> None:
    by_name: dict[str, str] = {}
    for member in members:
        other = by_name.setdefault(legal(member.name), member.name)
        if other != member.name:
            both = f"{other} and {member.name}"
            raise Retry(f"columns {both} would both be {legal(other)} in Avro; see rename")


_BASE = {
    "int": _Kind("int", 0),
    "long": _Kind("long", 0),
    "float": _Kind("float", 0.0),
    "double": _Kind("double", 0.0),
    "string": _Kind("string", ""),
    "bytes": _Kind("bytes", ""),
}


def _declared(column: Column) -> _Kind:
    kind = type_of(column)
    if column.base == "string" and kind.family == "decimal":
        return _decimal(kind.parameters)
    return _DECLARED.get((column.base, kind.family), _BASE[column.base])


def _logical(base: str, logical: str, **attributes: int) -> dict[str, Any]:
    return {"type": base, "logicalType": logical, **attributes}


def _decimal(parameters: Sequence[str]) -> _Kind:
    """Read precision and scale; what Avro cannot have stays text."""
    given = [int(number) for number in parameters if number.isdecimal()]
    if not parameters:
        given = [_DIGITS, _SCALE]
    elif len(given) == 1 == len(parameters):
        given.append(0)
    if len(given) != 2 or not 1 <= given[0] <= MOST_DIGITS or given[1] > given[0]:
        return _BASE["string"]
    return _number(AvroForm.DECIMAL, *given)


def _number(form: AvroForm, digits: int, scale: int) -> _Kind:
    kind = _logical("bytes", "decimal", precision=digits, scale=scale)
    return _Kind(kind, "\0", form, digits, scale)


_DECLARED = {
    ("int", "boolean"): _Kind("boolean", False, AvroForm.BOOLEAN),
    ("long", "timestamp"): _Kind(_logical("long", "timestamp-millis"), 0),
    ("string", "date"): _Kind(_logical("int", "date"), 0, AvroForm.DATE),
    ("string", "time"): _Kind(_logical("int", "time-millis"), 0, AvroForm.TIME),
    ("string", "datetime"): _Kind(_logical("long", "local-timestamp-millis"), 0, AvroForm.DATETIME),
    ("string", "ulong"): _number(AvroForm.ULONG, _ULONG_DIGITS, 0),
    ("string", "uuid"): _Kind(_logical("string", "uuid"), _NIL, AvroForm.UUID),
    ("bytes", "vector"): _Kind({"type": "array", "items": "float"}, [], AvroForm.VECTOR),
}
