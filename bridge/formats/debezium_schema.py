"""The schemas that Debezium's envelopes carry, in the JSON that Kafka Connect's converter reads.

They tell the truth about what is written: a date is written as text, so its schema is text. JSON
has no schema in Connect, so columns of json and array are written as text here.
Source: Kafka Connect's `JsonSchema`; Debezium 3, `Envelope`, `AbstractSourceInfo` and the semantic
types `ZonedTimestamp`, `Json`, `Uuid`, `FloatVector`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from bridge.codec import Codec, Form, Member
from bridge.events import Column, Schema
from bridge.formats.shape import Shape, key_of, members_of
from bridge.types import JsonForm, type_of

CONNECTOR = "kinetica"

_Described = dict[str, Any]

_TEXT: _Described = {"type": "string"}
_OF_FORM: dict[JsonForm, _Described] = {
    JsonForm.BOOLEAN: {"type": "boolean"},
    JsonForm.TIMESTAMP: {
        "type": "string",
        "name": "io.debezium.time.ZonedTimestamp",
        "version": 1,
    },
    JsonForm.FLOAT: {"type": "float"},
    JsonForm.DOUBLE: {"type": "double"},
    JsonForm.TEXT: _TEXT,
    JsonForm.DATETIME: _TEXT,
    # Beyond what Connect's 64 bits hold; its converter takes a decimal that is a number.
    JsonForm.ULONG: {
        "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal",
        "version": 1,
        "parameters": {"scale": "0"},
    },
    JsonForm.VECTOR: {
        "type": "array",
        "items": {"type": "float", "optional": False},
        "name": "io.debezium.data.FloatVector",
        "version": 1,
    },
    JsonForm.BASE64: {"type": "bytes"},
}
_NUMBERS = {"int8": "int8", "int16": "int16", "int": "int32", "long": "int64"}
_OF_TEXT = {
    "json": {"type": "string", "name": "io.debezium.data.Json", "version": 1},
    "uuid": {"type": "string", "name": "io.debezium.data.Uuid", "version": 1},
}
_SNAPSHOT: _Described = {
    "type": "string",
    "name": "io.debezium.data.Enum",
    "version": 1,
    "parameters": {
        "allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,"
        "incremental"
    },
    "default": "false",
}


@lru_cache(maxsize=1024)
def envelope_schema(instance: str, table: str, schema: Schema, shape: Shape) -> bytes:
    """Return the schema of the envelopes of a table's rows, as JSON.

    Raises:
        Retry: the shape does not fit the layout.
    """
    prefix = f"{instance}.{table}"
    row = [_member(schema, shape, member) for member in _in_text(schema, shape)]
    before_and_after = _struct(f"{prefix}.Value", row, optional=True)
    described = _struct(
        f"{prefix}.Envelope",
        [
            _field("before", before_and_after),
            _field("after", before_and_after),
            _field("source", _source()),
            _field("op", {"type": "string", "optional": False}),
            *_moments(),
            _field("transaction", _transaction()),
        ],
    )
    return orjson.dumps({**described, "version": 2})


@lru_cache(maxsize=1024)
def key_schema(instance: str, table: str, schema: Schema, shape: Shape) -> bytes:
    """Return the schema of the keys of a table's rows, as JSON.

    Raises:
        Retry: the shape does not fit the layout.
    """
    members = [_with_form(schema, member) for member in key_of(table, schema, shape)]
    fields = [_member(schema, shape, member) for member in members]
    return orjson.dumps(_struct(f"{instance}.{table}.Key", fields))


def described_form(codec: Codec, table: str, shape: Shape, *, keyed: bool) -> Form:
    """Return what writes a table's rows, and their keys where wanted, as the schemas say.

    Raises:
        Retry: the shape does not fit the layout.
    """
    schema = codec.schema
    key = [_with_form(schema, member) for member in key_of(table, schema, shape)] if keyed else ()
    return codec.form(values=shape.values, columns=_in_text(schema, shape), key=key)


@lru_cache(maxsize=1024)
def _in_text(schema: Schema, shape: Shape) -> tuple[Member, ...]:
    return tuple(_with_form(schema, member) for member in members_of(schema, shape))


def _with_form(schema: Schema, member: Member) -> Member:
    if member.mask is not None or type_of(_column(schema, member)).declared is not JsonForm.JSON:
        return member
    return member._replace(form=JsonForm.TEXT)


def _column(schema: Schema, member: Member) -> Column:
    return next(column for column in schema.columns if column.name == member.column)


def _member(schema: Schema, shape: Shape, member: Member) -> _Described:
    column = _column(schema, member)
    described = _TEXT if member.mask is not None else _value(column, shape)
    return _field(member.name, {**described, "optional": column.nullable})


def _value(column: Column, shape: Shape) -> _Described:
    kind = type_of(column)
    form = kind.declared if shape.values == "declared" else kind.kinetica
    if form is JsonForm.NUMBER:
        return {"type": _NUMBERS[kind.family if kind.family in _NUMBERS else kind.base]}
    if form in {JsonForm.TEXT, JsonForm.JSON}:
        return _OF_TEXT.get(kind.family, _TEXT)
    return _OF_FORM[form]


def _source() -> _Described:
    text = {"type": "string", "optional": False}
    described = _struct(
        f"io.debezium.connector.{CONNECTOR}.Source",
        [
            *(_field(name, text) for name in ("version", "connector", "name")),
            _field("ts_ms", {"type": "int64", "optional": False}),
            *_moments()[1:],
            _field("snapshot", {**_SNAPSHOT, "optional": True}),
            *(_field(name, text) for name in ("db", "schema", "table", "cluster")),
            _field("sequence", {"type": "string", "optional": True}),
            _field("offset", {"type": "int64", "optional": False}),
            _field("event_id", text),
        ],
    )
    return {**described, "version": 1}


def _transaction() -> _Described:
    number = {"type": "int64", "optional": False}
    fields = [
        _field("id", {"type": "string", "optional": False}),
        _field("total_order", number),
        _field("data_collection_order", number),
    ]
    return {**_struct("event.block", fields, optional=True), "version": 1}


def _moments() -> list[_Described]:
    return [
        _field(name, {"type": "int64", "optional": True}) for name in ("ts_ms", "ts_us", "ts_ns")
    ]


def _struct(name: str, fields: list[_Described], *, optional: bool = False) -> _Described:
    return {"type": "struct", "fields": fields, "optional": optional, "name": name}


def _field(name: str, described: _Described) -> _Described:
    return {**described, "field": name}
