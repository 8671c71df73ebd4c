"""Whatever text a row or a name holds, each format is well-formed and says the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from services.formats import TIME, block, write

from bridge.events import Column, Schema
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.csv import CsvFormat
from bridge.formats.debezium import DebeziumFormat

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
NAMES = TEXTS.filter(bool)


def avro(text: str) -> bytes:
    """Write a string of less than 8,192 bytes."""
    data = text.encode()
    size = len(data) << 1
    return (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + data


@given(NAMES, NAMES, TEXTS, TEXTS)
def test_names_and_values_of_any_text(table: str, column: str, first: str, second: str) -> None:
    """In the key, the subject, the schemas and the attributes."""
    schema = Schema("7", (Column(column, "string", "string"),), (column,))
    payload = avro(first) + avro(second)
    rows = replace(block(schema=schema, table=table), payload=payload, times=((2, TIME),))
    records = [{column: first}, {column: second}]

    whole, binary = write(CloudEvents("i"), rows), write(CloudEventsBinary("i"), rows)
    events = [json.loads(whole.event(at).value) for at in range(2)]
    assert [event["data"] for event in events] == records
    assert [json.loads(event["subject"]) for event in events] == records
    assert binary.attributes is not None
    for event, attributes in zip(events, binary.attributes.of(binary, 0, 2), strict=True):
        assert {**dict(attributes), "datacontenttype": "application/json"} == {
            name: value for name, value in event.items() if name != "data"
        }

    for form in (DebeziumFormat("i"), DebeziumFormat("i", schemas=True)):
        lines = write(form, rows)
        read = [json.loads(lines.event(at).value) for at in range(2)]
        assert [each.get("payload", each)["after"] for each in read] == records
        keys = [json.loads(lines.event(at).key or b"") for at in range(2)]
        assert [each["payload"] if form.schemas else each for each in keys] == records

    lines = write(CsvFormat(), rows)
    text = ((lines.header or b"") + lines.buffer).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [[column], [first], [second]]
