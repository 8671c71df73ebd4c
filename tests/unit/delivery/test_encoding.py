"""Entries are encoded in pieces, once for all sinks, and kept no longer than there is room."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import pytest
from services.delivery import CLUSTER, SCHEMA, TABLE, TIME, block, output
from structlog.testing import capture_logs

from bridge.delivery.encoding import Encoder
from bridge.errors import DecodeError
from bridge.events import Block, Drop
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.shape import Shape
from bridge.journal import Stored

ID = "9f86d081884c7d65"


def test_narrow_rows_are_encoded_in_pieces_that_make_up_the_whole() -> None:
    """However many a megabyte has of them; each piece with its own times."""
    count = 100_000
    one = block([1]).payload
    times = ((60_000, TIME), (40_000, TIME + 1))
    stored = Stored(7, count, Block(TABLE, CLUSTER, "insert", SCHEMA, one * count, count, times))
    encoder = Encoder(ID)

    pieces = encoder.pieces(stored, output())
    assert [pieces[0].begin, pieces[-1].end] == [0, count]
    assert all(a.end == b.begin and a.to_byte == b.from_byte for a, b in itertools.pairwise(pieces))
    for piece in (pieces[0], pieces[-1]):
        lines = encoder.lines(stored, piece, output(keyed=False))
        assert lines.nbytes < 3 * 2**20
        assert (lines.first, len(lines)) == (7 + piece.begin, piece.end - piece.begin)
        last = lines.event(len(lines) - 1)
        assert json.loads(last.value)["offset"] == last.offset == 7 + piece.end - 1
    assert lines.event(0).time == TIME + 1


def test_keys_are_there_for_who_wants_them_and_for_all_from_then_on() -> None:
    """Also where the same rows were encoded for another sink before, without."""
    stored = Stored(0, 2, block([1, 2]))
    encoder = Encoder(ID)
    (piece,) = encoder.pieces(stored, output())

    keyless = encoder.lines(stored, piece, output(keyed=False))
    keyed = encoder.lines(stored, piece, output())

    assert [keyless.event(i).key for i in range(2)] == [None, None]
    assert [keyed.event(i).key for i in range(2)] == [b'{"k":1}', b'{"k":2}']
    assert keyless.buffer == keyed.buffer
    assert encoder.lines(stored, piece, output(keyed=False)) is keyed


def test_a_key_column_that_the_table_lacks_is_said_once() -> None:
    """Its events go on, with a key of the columns that are left."""
    encoder = Encoder(ID)
    wanted = output({TABLE: Shape(key=("nope", "k"))})

    with capture_logs() as logs:
        for offset in range(3):
            stored = Stored(offset, 1, block([offset]))
            (piece,) = encoder.pieces(stored, output())
            assert encoder.lines(stored, piece, wanted).event(0).key is not None

    (line,) = logs
    assert line["event"] == "key_columns_missing"
    assert (line["table"], line["columns"], line["key"]) == (TABLE, ["nope"], ["k"])


def test_two_sinks_may_want_a_table_in_two_shapes() -> None:
    """What was kept in one is not given for the other."""
    stored = Stored(0, 1, block([1]))
    encoder = Encoder(ID)
    (piece,) = encoder.pieces(stored, output())
    encoder.lines(stored, piece, output())

    other = output({TABLE: Shape(key=("n", "k"))})

    assert encoder.lines(stored, piece, other).event(0).key == b'{"n":1,"k":1}'


def test_what_is_kept_is_bounded_in_bytes_as_they_are() -> None:
    """Nothing at all, if that is asked."""
    encoder = Encoder(ID, keep_bytes=0)
    stored = Stored(0, 1, Drop(TABLE, CLUSTER, TIME))
    (piece,) = encoder.pieces(stored, output())

    first, second = (
        encoder.lines(stored, piece, output(keyed=False)),
        encoder.lines(stored, piece, output(keyed=False)),
    )

    assert first == second
    assert first is not second


def test_single_events_are_kept_within_the_same_bound() -> None:
    """Most of what one takes is not its line: a trickle must not fill the memory."""
    encoder = Encoder(ID, keep_bytes=2**20)
    tracemalloc.start()
    try:
        for offset in range(5_000):
            stored = Stored(offset, 1, Drop(TABLE, CLUSTER, TIME))
            (piece,) = encoder.pieces(stored, output())
            encoder.lines(stored, piece, output())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 2**20


def test_bytes_that_are_no_records_say_so_each_time() -> None:
    """And nothing of them is kept."""
    stored = Stored(0, 1, Block(TABLE, CLUSTER, "insert", SCHEMA, b"\x80", 1, ((1, TIME),)))
    encoder = Encoder(ID)
    (piece,) = encoder.pieces(stored, output())
    for _ in range(2):
        with pytest.raises(DecodeError):
            encoder.lines(stored, piece, output(keyed=False))


def test_a_format_that_writes_keys_has_them_made_for_sinks_without() -> None:
    """The subject of a CloudEvent is the key, in a file too."""
    stored = Stored(0, 1, block([1]))
    wanted = output(keyed=False, form=CloudEvents("a"))
    encoder = Encoder(ID)
    (piece,) = encoder.pieces(stored, wanted)
    event = json.loads(encoder.lines(stored, piece, wanted).event(0).value)
    assert event["subject"] == '{"k":1}'


def test_lines_that_carry_schemas_come_in_smaller_pieces() -> None:
    """So that a block of many narrow rows is never a hundred MB of lines."""
    count = 10_000
    rows = Block(TABLE, CLUSTER, "insert", SCHEMA, block([1]).payload * count, count, ((count, 0),))
    stored, encoder = Stored(0, count, rows), Encoder(ID)
    wanted = output(form=DebeziumFormat("a", schemas=True))
    pieces = encoder.pieces(stored, wanted)
    assert [pieces[0].begin, pieces[-1].end] == [0, count]
    assert len(encoder.lines(stored, pieces[0], wanted).buffer) < 8 * 2**20
    assert len(encoder.pieces(stored, output())) == 1
