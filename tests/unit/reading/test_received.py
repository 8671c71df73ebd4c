"""What was received is counted, in whatever layout it came, and a read is answered from that."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.codec import Codec, compile_schema
from bridge.events import Column, Schema
from bridge.reading.received import Answer, IndexUnusable, Received, Rows

ID = Column("id", "int", "int")
NAME = Column("name", "string", "char8")
EXTRA = Column("extra", "int", "int", nullable=True)
KEYLESS = Schema("1", (ID, NAME))
ALTERED = Schema("2", (ID, NAME, EXTRA))


def row(number: int, name: str, extra: bytes = b"") -> bytes:
    return bytes([number * 2, len(name) * 2]) + name.encode() + extra


class Arrived:
    """Rows of one layout that came together."""

    def __init__(self, schema: Schema, *frames: bytes) -> None:
        self.schema, self.payload, self.count = schema, b"".join(frames), len(frames)


class Stream:
    """What was received, as far as the test has said."""

    def __init__(self) -> None:
        self.waiting: list[Arrived] = []
        self.closed = False

    def more(self) -> Iterator[Arrived]:
        while self.waiting:
            yield self.waiting.pop(0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def received(tmp_path: Path, stream: Stream) -> Iterator[Received]:
    received = Received(tmp_path / "index.db", KEYLESS, stream, recall=True)
    yield received
    received.close()


def test_each_row_is_counted_as_often_as_it_came(received: Received, stream: Stream) -> None:
    """Equal rows among them, over several blocks."""
    stream.waiting += [Arrived(KEYLESS, row(1, "a"), row(2, "b")), Arrived(KEYLESS, row(1, "a"))]
    received.catch_up()

    rows = [Rows(row(1, "a"), 5), Rows(row(2, "b"), 1), Rows(row(1, "b"), 1)]
    assert [answer.received for answer in received.answers(rows)] == [2, 1, 0]
    assert received.rows == 3


def test_it_tells_what_came_since_a_mark(received: Received, stream: Stream) -> None:
    """For as long as nobody says that the mark is of no use any more."""
    stream.waiting.append(Arrived(KEYLESS, row(1, "a")))
    received.catch_up()
    mark = received.mark()
    stream.waiting.append(Arrived(KEYLESS, row(1, "a"), row(1, "a")))
    received.catch_up()

    assert received.answers([Rows(row(1, "a"), 1)], mark) == [Answer(3, 2)]
    received.forget_before(received.mark())
    assert received.answers([Rows(row(1, "a"), 1)], mark) == [Answer(3, 0)]


def test_what_is_used_up_answers_no_more(received: Received, stream: Stream) -> None:
    """For rows whose equals may come on another page."""
    stream.waiting.append(Arrived(KEYLESS, *[row(1, "a")] * 3))
    received.catch_up()
    received.use_up([Rows(row(1, "a"), 2)])
    assert received.answers([Rows(row(1, "a"), 1)])[0].received == 1


def test_remembered_rows_count_once_at_least(received: Received, stream: Stream) -> None:
    """Those that had the highest value when a level was noted."""
    digests = list(compile_schema(KEYLESS).digests(row(1, "a") + row(2, "b"), 2))
    stream.waiting.append(Arrived(KEYLESS, row(1, "a"), row(1, "a")))
    received.catch_up()
    received.remember(digests)

    rows = [Rows(row(1, "a"), 1), Rows(row(2, "b"), 1)]
    assert [answer.received for answer in received.answers(rows)] == [2, 1]


def test_rows_of_an_older_layout_answer_by_what_both_have(tmp_path: Path, stream: Stream) -> None:
    """A column that was added since says nothing about them."""
    received = Received(tmp_path / "index.db", ALTERED, stream)
    stream.waiting += [
        Arrived(KEYLESS, row(1, "a")),
        Arrived(ALTERED, row(2, "b", b"\0\x02")),
    ]
    received.catch_up()

    rows = [Rows(row(1, "a", b"\x02"), 1), Rows(row(2, "b", b"\x02"), 1)]
    assert [answer.received for answer in received.answers(rows)] == [1, 0]
    assert not received.confused
    received.close()


def test_rows_that_only_a_new_column_tells_apart_are_said_to_be_confused(
    tmp_path: Path, stream: Stream
) -> None:
    """One of the two was received, and nobody knows which."""
    received = Received(tmp_path / "index.db", ALTERED, stream)
    stream.waiting.append(Arrived(KEYLESS, row(1, "a")))
    received.catch_up()
    received.answers([Rows(row(1, "a", b"\x02"), 1), Rows(row(1, "a", b"\0\x02"), 1)])

    assert received.confused
    received.close()


def test_a_layout_without_the_key_answers_nothing(tmp_path: Path, stream: Stream) -> None:
    """Its rows cannot be told apart: better twice than not at all."""
    keyed = Schema("3", (ID, NAME), primary_key=("id",))
    received = Received(tmp_path / "index.db", keyed, stream)
    stream.waiting.append(Arrived(Schema("4", (NAME,)), b"\x02a"))
    received.catch_up()

    assert received.answers([Rows(row(1, "a"), 1)]) == [Answer(0, 0)]
    received.close()


def test_a_block_that_does_not_decode_answers_nothing(received: Received, stream: Stream) -> None:
    """Damaged since it was stored; what came with it counts."""
    stream.waiting += [Arrived(KEYLESS, b"\x02"), Arrived(KEYLESS, row(1, "a"))]
    received.catch_up()
    assert received.answers([Rows(row(1, "a"), 1)])[0].received == 1


def test_many_rows_lie_on_disk(tmp_path: Path, stream: Stream) -> None:
    """In one file, which is gone at the end, as is the place in the stream."""
    path = tmp_path / "index.db"
    schema = Schema("5", (Column("x", "double", "double"),))
    codec: Codec = compile_schema(schema)
    frames = [struct.pack("<d", n) for n in range(250_000)]
    received = Received(path, schema, stream)
    stream.waiting.append(Arrived(schema, *frames))
    received.catch_up()

    assert codec.join(frames[:3]).count == 3
    rows = [Rows(struct.pack("<d", n), 1) for n in range(-1000, 1000)]
    assert sum(answer.received for answer in received.answers(rows)) == 1000
    assert path.stat().st_size > 2**20
    received.close()
    assert not path.exists()
    assert stream.closed


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, stream: Stream) -> None:
    """With the file in its message."""
    with pytest.raises(IndexUnusable, match="nowhere"):
        Received(tmp_path / "nowhere" / "index.db", KEYLESS, stream)
