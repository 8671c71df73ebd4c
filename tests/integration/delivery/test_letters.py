"""What is set aside is kept whole: as its sink would see it, and as the entry of that one event."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from services.delivery import CLUSTER, SCHEMA, TABLE, TIME, Engine, block, number, output, zigzag

from bridge.errors import Reject
from bridge.events import Block, Drop
from bridge.formats.base import Format, Rows, Single
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape, Stage
from bridge.lines import Lines
from bridge.sinks import Batch


@dataclass(frozen=True, slots=True)
class Loud(Format):
    """JSON in capitals, which is no JSON of ours any more."""

    def rows(self, rows: Rows) -> Lines:
        lines = JsonFormat().rows(rows)
        return replace(lines, buffer=lines.buffer.upper())

    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        return JsonFormat().single(journal_id, offset, entry)


def refusing(*offsets: int, answer: str | None = None) -> Callable[[Batch], None]:
    """Refuse the events at some offsets, alone or among others."""

    def judge(batch: Batch) -> None:
        for event in batch:
            if event.offset in offsets:
                batch.fail(event, Reject("no", certain=True, answer=answer))

    return judge


def one_row(n: int) -> Block:
    """Return the entry of the row `n` that `block` makes."""
    payload = zigzag(n) + zigzag(n % 3)
    return Block(TABLE, CLUSTER, "insert", SCHEMA, payload, 1, ((1, TIME),))


def test_the_entry_is_that_of_the_one_event_in_the_middle_of_a_block(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        engine.sink.judge = refusing(3, 5)
        engine.start()
        engine.journal.append([block(range(8))])
        engine.wait_settled()

        letters = engine.letters()
        assert {at: each.entry for at, each in letters.items()} == {3: one_row(3), 5: one_row(5)}
        assert json.loads(letters[3].value or b"")["record"] == {"n": 3, "k": 0}


@pytest.mark.parametrize("form", [JsonFormat(), Loud()])
def test_the_value_is_json_as_the_sink_would_see_it(tmp_path: Path, form: Format) -> None:
    """In the sink's shape, whatever its format: what it leaves out is not shown."""
    shapes = {TABLE: Shape(stages=(Stage(exclude=("k",), rename=(("n", "number"),)),))}
    with Engine(tmp_path, output=output(shapes, keyed=False, form=form)) as engine:
        engine.sink.judge = refusing(2)
        engine.start()
        engine.journal.append([block(range(4))])
        engine.wait_settled()

        [letter] = engine.letters().values()
        value = json.loads(letter.value or b"")
        assert (value["record"], value["offset"]) == ({"number": 2}, 2)
        assert letter.entry == one_row(2)


def test_what_is_no_row_has_its_entry_too(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        engine.sink.judge = refusing(1)
        engine.start()
        drop = Drop(TABLE, CLUSTER, TIME)
        engine.journal.append([block([0]), drop, block([1, 2])])
        engine.wait_settled()

        assert engine.letters()[1].entry == drop


def test_an_answer_is_kept_up_to_2_kib(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        engine.sink.judge = refusing(1, answer="422 " + "x" * 5000)
        engine.start()
        engine.journal.append([block(range(4))])
        engine.wait_settled()

        [letter] = engine.letters().values()
        assert letter.answer is not None
        assert (letter.answer[:5], len(letter.answer)) == ("422 x", 2048)
        assert engine.sink.numbers() == [number(event) for event in engine.sink.delivered]
