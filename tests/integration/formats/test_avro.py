"""Confluent's own deserializer reads what the format `avro` writes, by a real schema registry."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from services.avro import frames
from services.registry import SchemaRegistryServer

from bridge.codec import compile_schema
from bridge.errors import Retry
from bridge.events import Block, Column, Schema
from bridge.formats.base import Format, Rows
from bridge.formats.making import make_format
from bridge.formats.settings import FormatSettings
from bridge.formats.shape import Shape, Stage
from bridge.lines import Lines

TABLE = "ki_home.every type"
MOMENT = dt.datetime.fromisoformat("2026-11-23T08:42:00.123")
UUID = uuid.UUID("123e4567-e89b-12d3-a456-426614174000")

# Of every type: what is on the wire, and what a reader is to get.
EVERY: list[tuple[str, str, Any, Any]] = [
    ("int", "int", -7, -7),
    ("int", "int8", -128, -128),
    ("int", "int16", 32767, 32767),
    ("int", "boolean", 1, True),
    ("long", "long", -(2**63), -(2**63)),
    ("long", "timestamp", 1795509720123, dt.datetime.fromtimestamp(1795509720.123, dt.UTC)),
    ("float", "float", 0.5, 0.5),
    ("double", "double", 1e300, 1e300),
    ("string", "string", "grüße", "grüße"),
    ("string", "char8", "a", "a"),
    ("string", "date", "2026-11-23", MOMENT.date()),
    ("string", "time", "08:42:00.123", MOMENT.time()),
    ("string", "datetime", "2026-11-23 08:42:00.123000", MOMENT),
    ("string", "decimal(27,18)", "-999999999.5", Decimal("-999999999.5")),
    ("string", "ulong", str(2**64 - 1), Decimal(2**64 - 1)),
    ("string", "ipv4", "10.0.0.1", "10.0.0.1"),
    ("string", "uuid", str(UUID), UUID),
    ("string", "json", '{"a": 1}', '{"a": 1}'),
    ("string", "array(int)", "[1,2]", "[1,2]"),
    ("string", "wkt", "POINT(1 2)", "POINT(1 2)"),
    ("bytes", "bytes", b"\0\xff", b"\0\xff"),
    ("bytes", "wkt", b"\1\1", b"\1\1"),
    ("bytes", "vector(2)", struct.pack("<2f", 1.5, -2), [1.5, -2.0]),
]
COLUMNS = (
    *(Column(f"is {n}", base, kind) for n, (base, kind, _, _) in enumerate(EVERY)),
    *(Column(f"may be {n}", base, kind, nullable=True) for n, (base, kind, *_) in enumerate(EVERY)),
)


def every_type() -> tuple[Schema, list[dict[str, Any]], list[dict[str, Any]]]:
    """A layout of all types, two rows of it, and what a reader is to get of them."""
    sent, wanted = [], []
    for full in (True, False):
        sent.append(
            {f"is {n}": each[2] for n, each in enumerate(EVERY)}
            | {f"may be {n}": each[2] if full else None for n, each in enumerate(EVERY)}
        )
        wanted.append(
            {f"is_{n}": each[3] for n, each in enumerate(EVERY)}
            | {f"may_be_{n}": each[3] if full else None for n, each in enumerate(EVERY)}
        )
    return Schema("7", COLUMNS, ("is 4",)), sent, wanted


def avro(registry: SchemaRegistryServer, topic: str = "orders", **settings: Any) -> Format:
    wanted = {"format": "avro", "schema_registry": {"url": registry.url, **settings}}
    return make_format(FormatSettings.model_validate(wanted), "default", lambda _: topic)


def write(
    form: Format, schema: Schema, rows: Sequence[Mapping[str, Any]], table: str, shape: Shape
) -> Lines:
    payload = b"".join(frames(schema, rows))
    times = ((len(rows), 0),)
    block = Block(table, "http://k:9191", "insert", schema, payload, len(rows), times)
    codec = compile_schema(schema)
    return form.rows(Rows("9f" * 8, 1, block, codec, shape, True, payload, len(rows), times))


def read(registry: SchemaRegistryServer, lines: Lines, topic: str = "orders") -> list[Any]:
    """What a consumer of the topic reads, by Confluent's client."""
    client = SchemaRegistryClient({"url": registry.url})
    deserialize = AvroDeserializer(client)
    context = SerializationContext(topic, MessageField.VALUE)
    try:
        return [deserialize(lines.event(n).value, context) for n in range(len(lines))]
    finally:
        client.close()


@pytest.mark.parametrize(
    ("subjects", "subject"),
    [
        ("topic", "topic-1-value"),
        ("record", "ki_home.every_type"),
        ("topic-record", "topic-1-ki_home.every_type"),
    ],
)
def test_every_type_is_read_back_under_each_subject(
    schema_registry: SchemaRegistryServer, subjects: str, subject: str
) -> None:
    """Values and nulls, by a consumer that knows nothing but the registry; keys are JSON."""
    schema, rows, wanted = every_type()
    form = avro(schema_registry, "topic-1", subjects=subjects)

    lines = write(form, schema, rows, TABLE, Shape())

    assert read(schema_registry, lines, "topic-1") == wanted
    assert subject in schema_registry.subjects()
    assert not lines.line_feed
    assert lines.key(0) == b'{"is 4":%d}' % rows[0]["is 4"]


def test_columns_that_come_and_go_leave_the_schemas_compatible(
    schema_registry: SchemaRegistryServer,
) -> None:
    """A nullable one, one that is not, and one that goes: versions of one subject, read by each."""
    form = avro(schema_registry, "evolving")
    first = Schema("1", (Column("id", "long", "long"), Column("old", "string", "char8")), ("id",))
    new = (Column("n", "int", "int"), Column("on", "string", "date", nullable=True))
    second = Schema("2", (*first.columns, *new), ("id",))
    third = Schema("3", (first.columns[0], *new), ("id",))
    row = {"id": 1, "old": "x", "n": 5, "on": None}

    lines = [write(form, each, [row], "ki_home.e", Shape()) for each in (first, second, third)]

    versions = schema_registry.versions("evolving-value")
    assert [[field["name"] for field in each["fields"]] for each in versions] == [
        ["id", "old"],
        ["id", "old", "n", "on"],
        ["id", "n", "on"],
    ]
    written = {"id": 1, "old": "x", "n": 5, "on": None}
    for each, names in zip(lines, (["id", "old"], list(written), ["id", "n", "on"]), strict=True):
        assert read(schema_registry, each, "evolving") == [{name: written[name] for name in names}]
    # A reader of the newest schema reads what was written before.
    client = SchemaRegistryClient({"url": schema_registry.url})
    newest = AvroDeserializer(client, client.get_latest_version("evolving-value").schema)
    context = SerializationContext("evolving", MessageField.VALUE)
    assert newest(lines[0].event(0).value, context) == {"id": 1, "n": 0, "on": None}
    client.close()


def test_a_column_that_changes_its_type_makes_its_table_wait(
    schema_registry: SchemaRegistryServer,
) -> None:
    """With the registry's own words; nothing is registered, and other tables go on."""
    form = avro(schema_registry, "changing", subjects="topic-record")
    before = Schema("1", (Column("id", "long", "long"), Column("n", "int", "int")))
    after = Schema("2", (Column("id", "long", "long"), Column("n", "string", "string")))
    write(form, before, [{"id": 1, "n": 2}], "ki_home.c", Shape())

    with pytest.raises(Retry) as caught:
        write(form, after, [{"id": 1, "n": "two"}], "ki_home.c", Shape())

    assert "refuses the schema of changing-ki_home.c with 409" in str(caught.value)
    assert not caught.value.answered
    assert caught.value.answer.startswith("409 ")
    assert len(schema_registry.versions("changing-ki_home.c")) == 1
    assert len(write(form, after, [{"id": 1, "n": "two"}], "ki_home.other", Shape())) == 1


def test_shaping_and_masks_are_in_the_schema(schema_registry: SchemaRegistryServer) -> None:
    """Columns that are left out are not registered, renamed ones are, masked ones are text."""
    schema = Schema("1", (Column("id", "long", "long"), Column("s", "long", "long", nullable=True)))
    shape = Shape(stages=(Stage(rename=(("id", "the id"),), mask=(("s", "hash"),), mask_key=b"k"),))

    lines = write(avro(schema_registry, "shaped"), schema, [{"id": 1, "s": None}], "t", shape)

    assert read(schema_registry, lines, "shaped") == [{"the_id": 1, "s": None}]
    (registered,) = schema_registry.versions("shaped-value")
    assert registered["fields"][0]["doc"] == "the id"
    assert registered["fields"][1]["type"] == ["null", "string"]


def test_values_as_kinetica_sends_them_have_no_logical_types(
    schema_registry: SchemaRegistryServer,
) -> None:
    """`values: kinetica` gives what is on the wire."""
    schema, rows, _ = every_type()
    form = avro(schema_registry, "plain")

    lines = write(form, schema, rows, TABLE, Shape(values="kinetica"))

    wanted = [{name.replace(" ", "_"): value for name, value in row.items()} for row in rows]
    assert read(schema_registry, lines, "plain") == wanted


def test_without_auto_register_a_table_waits_until_its_schema_is_there(
    schema_registry: SchemaRegistryServer,
) -> None:
    """Then it flows, with the number that somebody else's registering gave."""
    schema = Schema("1", (Column("id", "long", "long"),))
    form = avro(schema_registry, "by-hand", auto_register=False)

    with pytest.raises(Retry, match="no such schema of by-hand-value, and auto_register is false"):
        write(form, schema, [{"id": 1}], "t", Shape())
    write(avro(schema_registry, "by-hand"), schema, [{"id": 1}], "t", Shape())

    assert read(schema_registry, write(form, schema, [{"id": 1}], "t", Shape()), "by-hand")


def test_check_says_what_would_become_of_a_schema_and_registers_nothing(
    schema_registry: SchemaRegistryServer,
) -> None:
    """A new subject, a known schema, a new version, and one that would be refused."""
    form = avro(schema_registry, "checked")
    first = Schema("1", (Column("id", "long", "long"),))
    second = Schema("2", (*first.columns, Column("n", "int", "int")))
    third = Schema("3", (Column("id", "bytes", "bytes"),))

    said = [form.check("t", first, Shape())]
    assert "checked-value" not in schema_registry.subjects()
    write(form, first, [{"id": 1}], "t", Shape())
    said += [form.check("t", first, Shape()), form.check("t", second, Shape())]

    assert said[0] == "checked-value is not there yet and would be made"
    assert said[1] is not None
    assert said[1].startswith("checked-value has its schema, id ")
    assert said[2] == "checked-value would take its schema as a new version"
    with pytest.raises(Retry, match="would refuse the schema of checked-value"):
        form.check("t", third, Shape())
    assert len(schema_registry.versions("checked-value")) == 1


def test_a_registry_that_was_away_is_used_as_soon_as_it_is_back(
    own_schema_registry: SchemaRegistryServer,
) -> None:
    """Refused connections are told as such; what is known needs no registry at all."""
    schema = Schema("1", (Column("id", "long", "long"),))
    form = avro(own_schema_registry)

    with pytest.raises(Retry, match=r"no answer from schema registry http://127.*refused"):
        write(form, schema, [{"id": 1}], "t", Shape())
    own_schema_registry.start()
    while True:
        try:
            lines = write(form, schema, [{"id": 1}], "t", Shape())
            break
        except Retry:
            continue  # it is left alone for a second
    assert read(own_schema_registry, lines) == [{"id": 1}]
    own_schema_registry.stop()
    assert len(write(form, schema, [{"id": 2}], "t", Shape())) == 1


def test_a_registry_that_hangs_is_waited_for_no_longer_than_is_said(
    own_schema_registry: SchemaRegistryServer,
) -> None:
    """One call has the whole time-out; those that follow are spared it."""
    own_schema_registry.start()
    form = avro(own_schema_registry, timeout="300ms")
    one, other = (Schema("1", (Column(name, "long", "long"),)) for name in ("a", "b"))
    own_schema_registry.pause()

    with pytest.raises(Retry, match="no answer from schema registry"):
        write(form, one, [{"a": 1}], "t", Shape())
    with pytest.raises(Retry, match="no answer from schema registry"):
        write(form, other, [{"b": 1}], "t", Shape())
