"""A table's events as whoever looks on sees them."""

from __future__ import annotations

from pathlib import Path

from services.delivery import CLUSTER, TABLE, TIME, Engine, block, zigzag

from bridge.delivery.encoding import Writer
from bridge.delivery.tail import look
from bridge.events import Block, Column, Schema
from bridge.formats.shape import Shape, Stage
from bridge.journal import JournalReader

WIDER = Schema("8", tuple(Column(name, "long", "long") for name in ("n", "k", "m")), ("k",))


def test_events_of_a_layout_that_the_shape_does_not_fit_keep_no_others_from_sight(
    tmp_path: Path,
) -> None:
    """A column came that has the name which another one was given: it is said of its events."""
    shapes = {TABLE: Shape(stages=(Stage(rename=(("n", "m"),)),))}
    wide = Block(TABLE, CLUSTER, "insert", WIDER, zigzag(1) * 3, 1, ((1, TIME),))
    with Engine(tmp_path / "j") as rig:
        rig.journal.append([block([0]), wide, block([2])])
        with JournalReader(rig.folder) as reader:
            found = look(reader, Writer.of_json(rig.journal.id, shapes), TABLE, 0)

    assert [each.offset for each in found.slices] == [0, 2]
    assert [(each.first, each.last) for each in found.unreadable] == [(1, 1)]
    assert "two columns would be named m" in found.unreadable[0].reason
