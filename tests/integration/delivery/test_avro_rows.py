"""Rows as Avro on their way to a sink: what has no form is set aside, what waits for ids waits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from services.avro import frames, read_back
from services.delivery import CLUSTER, OTHER, TABLE, TIME, Engine, output
from services.process import wait_until
from services.schema_numbers import Numbers

from bridge.errors import Retry
from bridge.events import Block, Column, Event, Schema
from bridge.formats.avro_registry import Away

SCHEMA = Schema("7", (Column("n", "long", "long"), Column("day", "string", "date")), ("n",))
BAD = "column day: no date of the form 2026-11-23"


def rows(numbers: Sequence[int], bad: Sequence[int] = (), table: str = TABLE) -> Block:
    """Rows with these numbers; in some of them the date is none."""
    sent = [{"n": n, "day": "tomorrow" if n in bad else "2026-11-23"} for n in numbers]
    payload = b"".join(frames(SCHEMA, sent))
    times = ((1, TIME), (len(sent) - 1, TIME + 1)) if len(sent) > 1 else ((1, TIME),)
    return Block(table, CLUSTER, "insert", SCHEMA, payload, len(sent), times)


def numbers(numbered: Numbers, events: Sequence[Event]) -> list[int]:
    """The numbers of the rows in some events."""
    return [
        read_back(numbered.known[int.from_bytes(e.value[1:5], "big") - 1][1], [e.value[5:]])[0]["n"]
        for e in events
    ]


@pytest.mark.parametrize("bad", [(0,), (3,), (7,), (0, 1, 7), range(8), (2, 4, 6)])
def test_a_row_without_a_form_is_set_aside_alone(tmp_path: Path, bad: Sequence[int]) -> None:
    """With the reason, its entry and its JSON; all others of its block arrive in order."""
    numbered = Numbers()
    with Engine(tmp_path / "j", output=output(form=numbered.format())) as rig:
        rig.start(max_events=3)
        rig.journal.append([rows(range(8), bad), rows(range(8, 10))])
        rig.wait_settled()

        assert numbers(numbered, rig.sink.delivered) == [n for n in range(10) if n not in bad]
        letters = rig.letters()
        assert sorted(letters) == sorted(bad)
        assert rig.account().dead_lettered == len(bad)
        assert rig.account().delivered == 10 - len(bad)
        for at, letter in letters.items():
            assert (letter.reason, letter.id) == (BAD, f"{rig.journal.id}-{at}")
            assert json.loads(letter.value or b"")["record"] == {"n": at, "day": "tomorrow"}
            assert letter.time == TIME + (at > 0)
            assert isinstance(letter.entry, Block)
            assert letter.entry.payload == rows([at], [at]).payload


def test_a_table_of_which_nothing_can_be_written_waits(tmp_path: Path) -> None:
    """A hundred in a row are set aside and no more: then it is no matter of single rows."""
    numbered = Numbers()
    with Engine(tmp_path / "j", (TABLE, OTHER), output=output(form=numbered.format())) as rig:
        rig.start(max_events=1000)
        rig.journal.append([rows(range(102), range(1, 101))])
        rig.wait_settled(TABLE)
        assert len(rig.letters()) == 100
        rig.journal.append([rows(range(101), range(101)), rows(range(3), table=OTHER)])
        wait_until(lambda: TABLE in rig.worker.stats().waiting, "it waits")
        rig.wait_settled(OTHER)

        assert rig.worker.stats().waiting == {
            TABLE: f"100 rows and more in a row cannot be written, the last for {BAD}"
        }
        assert rig.account().pending == 101
        assert len(rig.letters()) == 100


def test_a_row_without_a_form_is_set_aside_where_order_is_per_key(tmp_path: Path) -> None:
    """What waits before it goes out once the sink takes it again; nothing is set aside twice."""
    numbered, refused = Numbers(), [True]
    with Engine(tmp_path / "j", output=output(form=numbered.format())) as rig:
        rig.sink.ordered_by_key = True  # type: ignore[misc]

        def judge(batch: Sequence[Event]) -> None:
            for event in batch:
                if refused and event.offset == 1:
                    batch.fail(event, Retry("busy"))  # type: ignore[attr-defined]

        rig.sink.judge = judge
        rig.start()
        rig.journal.append([rows(range(6), [3])])
        wait_until(lambda: rig.account().delivered == 4, "the others arrive")
        refused.clear()
        rig.wait_settled()

        assert sorted(numbers(numbered, rig.sink.delivered)) == [0, 1, 2, 4, 5]
        assert list(rig.letters()) == [3]


def test_while_the_registry_is_away_tables_wait_visibly_and_recover(tmp_path: Path) -> None:
    """The cause is shown and logged without a traceback, nothing is set aside, all arrives."""
    numbered = Numbers()

    def away(_: str) -> None:
        raise Away("no answer from the registry: refused")

    numbered.judge = away
    with (
        structlog.testing.capture_logs() as logs,
        Engine(tmp_path / "j", output=output(form=numbered.format())) as rig,
    ):
        rig.start()
        rig.journal.append([rows(range(4)), rows(range(4))])
        wait_until(lambda: rig.worker.stats().waiting != {}, "it waits")

        stats = rig.worker.stats()
        assert stats.waiting == {TABLE: "no answer from the registry: refused"}
        assert (stats.state, stats.error) == ("retrying", "no answer from the registry: refused")
        assert rig.account().pending == 8
        numbered.judge = lambda _: None
        rig.wait_settled()

        assert numbers(numbered, rig.sink.delivered) == [0, 1, 2, 3] * 2
        assert rig.letters() == {}
        wait_until(lambda: rig.worker.stats().state == "delivering", "it delivers")
    failed = [each for each in logs if each["event"] == "encoding_failed"]
    assert failed
    assert not any(each.get("exc_info") for each in failed)
    assert not [each for each in logs if each["log_level"] == "error"]


def test_a_table_whose_schema_is_refused_waits_alone(tmp_path: Path) -> None:
    """For as long as it takes, or until it is skipped by hand; the sink's other tables flow."""
    numbered = Numbers()

    def refuse(subject: str) -> None:
        if subject == f"{TABLE}-value":
            raise Retry("the registry refuses the schema: incompatible", answer="409 incompatible")

    numbered.judge = refuse
    tables = (TABLE, OTHER)
    with Engine(tmp_path / "j", tables, output=output(form=numbered.format())) as rig:
        rig.start(max_attempts=2)
        rig.journal.append([rows(range(4)), rows(range(4), table=OTHER)])
        rig.wait_settled(OTHER)
        wait_until(lambda: len(numbered.asked) > 8, "it is asked again and again")
        rig.journal.append([rows(range(4, 6), table=OTHER)])
        rig.wait_settled(OTHER)

        stats = rig.worker.stats()
        assert stats.waiting == {TABLE: "the registry refuses the schema: incompatible"}
        assert stats.state == "delivering"
        assert rig.account().pending == 4
        assert rig.letters() == {}
        assert rig.worker.skip(TABLE) == 1
        numbered.judge = lambda _: None
        rig.wait_settled()
        assert len(rig.sink.delivered) == 9
        (letter,) = rig.letters().values()
        assert letter.reason == "set aside by hand"
        assert json.loads(letter.value or b"")["record"] == {"n": 0, "day": "2026-11-23"}
        assert rig.worker.loop.faults == 0
