"""CSV is rows alone, as other programs read them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from services.formats import ID, SINGLES, TIME, block, write

from bridge.events import Column, Schema
from bridge.formats.csv import CsvFormat
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape, Stage


def test_a_file_of_rows_is_read_back() -> None:
    """The names first; a null is nothing, and an empty text is two quotes."""
    lines = write(CsvFormat(), block())
    assert lines.header == b"order_id,note\n"
    assert bytes(lines.buffer) == b"1,\n2,hi\n"
    assert (lines.line_feed, lines.content_type) == (True, "text/csv; charset=utf-8")


def test_names_and_values_with_commas_quotes_and_line_ends_are_quoted() -> None:
    """Names as rename gives them."""
    schema = Schema("9", (Column("a,b", "string", "string"), Column('"', "string", "string")))
    payload = b"\x06x,y" + b'\x06a\n"' + b"\x00" + b"\x02z"
    rows = replace(block(schema=schema), payload=payload, count=2, times=((2, TIME),))
    lines = write(CsvFormat(), rows, Shape(stages=(Stage(rename=(("a,b", "c d"),)),)))
    assert lines.header is not None
    read = list(csv.reader(io.StringIO((lines.header + lines.buffer).decode(), newline="")))
    assert read == [["c d", '"'], ["x,y", 'a\n"'], ["", "z"]]
    assert bytes(lines.buffer).endswith(b'"",z\n')
    assert write(CsvFormat(), rows).header == b'"a,b",""""\n'


def test_what_is_no_row_is_a_notification_in_json() -> None:
    """Without a header."""
    for entry in SINGLES.values():
        lines = CsvFormat().single(ID, 5, entry)
        assert (lines.notification, lines.header) == (True, None)
        assert lines.event(0) == JsonFormat().single(ID, 5, entry).event(0)
