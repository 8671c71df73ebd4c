"""A sink that takes some types of events gets these and no others, whatever is between them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from services.delivery import CLUSTER, TABLE, TIME, Engine, block
from services.process import wait_until

from bridge.errors import Reject
from bridge.events import Drop, Gap, GapReason
from bridge.sinks import Batch


def gap(number: int) -> Gap:
    return Gap(TABLE, CLUSTER, TIME, f"g{number}", 1, 2, get_args(GapReason)[0])


def types(engine: Engine) -> list[str]:
    return [event.type for event in engine.sink.delivered]


def test_what_is_left_out_is_passed_over_and_not_counted(tmp_path: Path) -> None:
    """At every moment the counts add up, and once all is settled the lane stands at the head."""
    with Engine(tmp_path) as engine:
        engine.journal.register("s", engine.tables, events=("gap", "drop"))
        engine.start()
        for n in range(30):
            engine.journal.append([block(range(50)), gap(n)])
            assert engine.account().received <= 30
        engine.journal.append([Drop(TABLE, CLUSTER, TIME), block(range(50))])
        engine.wait_settled()

        assert types(engine) == ["gap"] * 30 + ["drop"]
        found = engine.account()
        assert (found.received, found.delivered, found.discarded) == (31, 31, 0)
        assert engine.journal.lanes("s")[TABLE].start == engine.journal.head


def test_one_that_is_refused_is_proven_by_others_that_it_takes(tmp_path: Path) -> None:
    """Rows between them prove nothing, as they never go there."""

    def judge(batch: Batch) -> None:
        for event in batch:
            if b'"g2"' in event.value:
                raise Reject("no")

    with Engine(tmp_path) as engine:
        engine.journal.register("s", engine.tables, events=("gap",))
        engine.sink.judge = judge
        engine.start()
        for n in range(5):
            engine.journal.append([block(range(20)), gap(n)])
        engine.wait_settled()

        assert len(engine.sink.delivered) == 4
        [letter] = engine.letters().values()
        assert isinstance(letter.entry, Gap)
        assert letter.entry.gap == "g2"
        found = engine.account()
        assert (found.received, found.delivered, found.dead_lettered) == (5, 4, 1)


def test_a_changed_filter_takes_effect_with_the_next_configuration(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        engine.journal.register("s", engine.tables, events=("gap",))
        engine.start()
        engine.journal.append([block(range(5)), gap(1)])
        engine.wait_settled()

        engine.journal.register("s", engine.tables)
        engine.start()
        engine.journal.append([block(range(5))])
        wait_until(lambda: len(engine.sink.delivered) == 6, "rows come, too")
        engine.wait_settled()
        assert types(engine) == ["gap"] + ["insert"] * 5
        assert engine.account().received == 6
