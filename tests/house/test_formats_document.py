"""The page of formats shows what the code writes: its examples are made by this module.

`make formats-page` puts them in anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.codec import compile_schema
from bridge.events import Alter, Block, Column, Count, Drop, Gap, ReadCause, Schema
from bridge.formats.avro import AvroFormat
from bridge.formats.avro_registry import Registry
from bridge.formats.avro_schema import avro_schema
from bridge.formats.base import Format, Rows, Single
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.csv import CsvFormat
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.json import JsonFormat
from bridge.formats.making import FORMAT_NAMES, format_class
from bridge.formats.raw import RawFormat
from bridge.formats.shape import PLAIN
from bridge.lines import Lines
from bridge.sinks import registry

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
PLACE = re.compile(r"(<!-- made from the code: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

ID, OFFSET = "9f86d081884c7d65", 1234
TIME = 1_795_423_320_123_456  # 2026-11-23T08:42:00.123456Z
TABLE, CLUSTER = "ki_home.orders", "http://kinetica-a:9191"
SCHEMA = Schema(
    "7",
    (
        Column("order_id", "long", "long"),
        Column("amount", "string", "decimal(10,2)"),
        Column("placed", "long", "timestamp"),
        Column("extra", "string", "json", nullable=True),
    ),
    ("order_id",),
)
PAYLOAD = b'\x0e\x0a12.50\x9c\xde\x8d\xf9\xc0h\x00\x1a{"gift":true}'
LESS = Schema("8", SCHEMA.columns[:3], SCHEMA.primary_key)
_SPAN = (TIME - 31 * 10**6, TIME)
GAP = (TABLE, CLUSTER, TIME, "4f1c09b5a2d3e687", *_SPAN, "disconnected")
SINGLES: tuple[tuple[str, Single], ...] = (
    ("update", Count(TABLE, CLUSTER, TIME, "update", 3)),
    ("delete", Count(TABLE, CLUSTER, TIME, "delete", 1)),
    ("alter", Alter(TABLE, CLUSTER, TIME, LESS, SCHEMA)),
    ("drop", Drop(TABLE, CLUSTER, TIME)),
    ("gap, when its span is over", Gap(*GAP)),
    ("gap, when it is closed", Gap(*GAP, closed=True, rows=17, by="read")),
)
ROWS: tuple[tuple[str, ReadCause | None], ...] = (
    ("insert", None),
    ("read, cause gap", "gap"),
    ("read, cause snapshot", "snapshot"),
    ("read, cause update", "update"),
)
"""What is written, each with what the page calls it."""

Written = tuple[str, Lines]


def rows(form: Format) -> Iterator[Written]:
    """One row for each cause."""
    codec = compile_schema(SCHEMA)
    for name, cause in ROWS:
        type_ = "read" if cause else "insert"
        block = Block(TABLE, CLUSTER, type_, SCHEMA, PAYLOAD, 1, ((1, TIME),), cause)
        yield (
            name,
            form.rows(Rows(ID, OFFSET, block, codec, PLAIN, True, PAYLOAD, 1, ((1, TIME),))),
        )


def singles(form: Format) -> Iterator[Written]:
    """What is no row."""
    for name, entry in SINGLES:
        yield name, form.single(ID, OFFSET, entry)


def fenced(written: Iterator[Written], language: str, show: Any) -> str:
    """Each under its name."""
    return "".join(f"{name}:\n\n```{language}\n{show(lines)}\n```\n\n" for name, lines in written)


def value(lines: Lines) -> str:
    """The value alone."""
    return lines.event(0).value.decode()


def with_attributes(lines: Lines) -> str:
    """As Kafka has it: headers, an empty line, the value."""
    assert lines.attributes is not None
    headers = [f"{name}: {text}" for name, text in lines.attributes.of(lines, 0, 1, "ce_")[0]]
    return "\n".join([*headers, f"content-type: {lines.content_type}", "", value(lines)]).rstrip()


def with_header(lines: Lines) -> str:
    """The line of names first."""
    return f"{(lines.header or b'').decode()}{value(lines)}"


def in_hexadecimal(lines: Lines) -> str:
    """Bytes."""
    return lines.event(0).value.hex(" ")


class Numbering:
    """A registry that gives every schema the number 7."""

    def id_of(self, subject: str, text: str) -> int:
        return 7

    def check(self, subject: str, text: str) -> str:
        return ""


def avro() -> str:
    """The schema that is registered, and a value of it."""
    form = AvroFormat(Registry("test", Numbering, 10.0), "topic", "kinetica.{}".format)
    text = json.dumps(json.loads(avro_schema(TABLE, SCHEMA, PLAIN).text), indent=1)
    return f"The schema:\n\n```json\n{text}\n```\n\n" + fenced(
        one(rows(form)), "text", in_hexadecimal
    )


def one(written: Iterator[Written]) -> Iterator[Written]:
    """The first alone."""
    yield next(written)


def made() -> dict[str, str]:
    """Every part of the page that is made, by its name."""
    whole, binary = CloudEvents("default"), CloudEventsBinary("default")
    plain, wrapped = DebeziumFormat("default"), DebeziumFormat("default", schemas=True)
    key = next(rows(wrapped))[1].event(0).key
    assert key is not None
    return {
        "sinks": _sinks(),
        "json": fenced(rows(JsonFormat()), "json", value)
        + fenced(singles(JsonFormat()), "json", value),
        "cloudevents": fenced(rows(whole), "json", value) + fenced(singles(whole), "json", value),
        "cloudevents-binary": fenced(rows(binary), "text", with_attributes)
        + fenced(singles(binary), "text", with_attributes),
        "debezium": fenced(rows(plain), "json", value),
        "debezium-schemas": fenced(one(rows(wrapped)), "json", value)
        + f"Its key:\n\n```json\n{key.decode()}\n```\n\n",
        "avro": avro(),
        "raw": fenced(one(rows(RawFormat())), "text", in_hexadecimal),
        "csv": fenced(one(rows(CsvFormat())), "text", with_header),
        "notifications": fenced(singles(plain), "json", value),
    }


def _sinks() -> str:
    sinks = registry.available()
    lines = [f"| format | {' | '.join(sinks)} |", "|---" * (len(sinks) + 1) + "|"]
    for name in FORMAT_NAMES:
        needs = format_class(name).needs
        takes = ["yes" if needs <= sink.carries else "" for sink in sinks.values()]
        lines.append(f"| `{name}` | {' | '.join(takes)} |")
    return "\n".join(lines) + "\n\n"


def renewed(page: str) -> str:
    """The page with its made parts put in anew."""
    parts = made()
    found = [match[2] for match in PLACE.finditer(page)]
    assert sorted(found) == sorted(parts), "the page and this module have other parts"
    return PLACE.sub(lambda match: f"{match[1]}\n{parts[match[2]]}{match[4]}", page)


def test_the_page_of_formats_shows_what_the_code_writes() -> None:
    """One event of each kind in each format; `make formats-page` renews the page."""
    page = PAGE.read_text()
    assert page == renewed(page), "make formats-page"


def test_what_is_a_notification_is_the_same_in_each_format() -> None:
    """So the page shows it once."""
    expected = [lines.event(0) for _, lines in singles(JsonFormat())]
    for form in (DebeziumFormat("a", schemas=True), RawFormat(), CsvFormat()):
        found = [lines for _, lines in singles(form)]
        assert all(lines.notification for lines in found)
        assert [lines.event(0) for lines in found] == expected


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
