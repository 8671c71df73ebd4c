"""Random destinations against an oracle: nothing good is lost, and nothing good is set aside."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from services.delivery import Engine, block, number
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.events import Event, Undecodable
from bridge.sinks import Batch, NotConnected

TABLES = tuple(f"ki_home.t{n}" for n in range(4))


class Destination:
    """Refuses some events for ever, and has troubles at random until it is well.

    A trouble is one of the whole, or of one table, and lasts for some calls. It refuses what is
    good once in a run: what is refused, sees another accepted, and is refused once more by a
    destination that is ill again, is poison by the rule.
    """

    def __init__(
        self, chance: random.Random, poison: set[tuple[str, int]], *, by_key: bool
    ) -> None:
        self.chance = chance
        self.poison = poison
        self.by_key = by_key
        self.how = chance.choice(["reject", "error", "mark"])
        self.well = False
        self.trouble: tuple[str, str | None] | None = None
        self.left = 0
        self.kinds = ["away", "fault", "lost", "busy", chance.choice(["error", "refuse", "table"])]
        self.lock = threading.Lock()  # two calls at once would begin the one refusal twice

    def judge(self, batch: Batch) -> None:
        with self.lock:
            self._judge(batch)

    def _judge(self, batch: Batch) -> None:
        chance = self.chance
        if self.left == 0 and not self.well and chance.random() < 0.3:
            kind = chance.choice(self.kinds)
            if kind in self.kinds[4:]:
                self.kinds.pop()
            self.trouble = kind, chance.choice(TABLES)
            self.left = chance.randint(1, 30)
        if self.left and not self.well:
            self.left -= 1
            self.fail(batch, *(self.trouble or ("away", None)))
        bad = [event for event in batch if (event.table, number(event)) in self.poison]
        if not bad:
            return
        if self.how == "mark":
            self.mark(batch, bad)
        elif self.how == "reject":
            raise Reject("HTTP 422", answer="422")
        else:
            raise Retry("HTTP 500", answered=True, answer="500")

    def fail(self, batch: Batch, kind: str, table: str | None) -> None:
        if kind == "away":
            raise Retry("away")
        if kind == "error":
            raise Retry("HTTP 500", answered=True)
        if kind == "refuse":
            raise Reject("HTTP 400")
        if kind == "fault":
            raise ValueError("a bug")
        if kind == "lost":
            raise NotConnected("lost")
        if table in batch.tables:
            batch.fail(table, Reject("no") if kind == "table" else Retry("busy"))

    def mark(self, batch: Batch, bad: list[Event]) -> None:
        failed: set[Any] = set()
        for event in batch:
            lane = (event.table, event.key) if self.by_key else event.table
            if event in bad:
                batch.fail(event, Reject("no"))
                failed.add(lane)
            elif lane in failed:
                batch.fail(event, Retry("behind another one"))


@pytest.mark.parametrize("by_key", [False, True], ids=["in order", "by key"])
@pytest.mark.parametrize("seed", range(20))
def test_every_good_event_arrives_and_only_poison_is_set_aside(
    tmp_path: Path, seed: int, *, by_key: bool
) -> None:
    """Counts add up at every look."""
    chance = random.Random(seed * 2 + by_key)
    with Engine(tmp_path / "j", TABLES) as rig:
        numbers: dict[str, int] = defaultdict(int)
        poison: set[tuple[str, int]] = set()
        undecodable = 0
        destination = Destination(chance, poison, by_key=by_key)
        rig.sink.judge = destination.judge
        rig.sink.ordered_by_key = by_key  # type: ignore[misc]
        rig.sink.max_in_flight = chance.choice([1, 1, 2])
        rig.start(max_attempts=2, max_events=chance.choice([1, 5, 50]))
        for _ in range(40):
            table = chance.choice(TABLES)
            if chance.random() < 0.1:
                rig.journal.append([Undecodable(table, "c", 5, b"\xff", "cut short")])
                undecodable += 1
                continue
            count, first = chance.randint(1, 20), numbers[table]
            rows = range(first, first + count)
            poison.update((table, n) for n in rows if chance.random() < 0.03)
            rig.journal.append([block(rows, table)])
            numbers[table] += count
            for account_table in TABLES:
                rig.account(account_table)
        destination.well = True

        def settled() -> bool:
            pending = [t for t in TABLES if rig.account(t).pending]
            for table in pending:  # so that suspects at the end have a witness
                rig.journal.append([block([numbers[table]], table)])
                numbers[table] += 1
            return not pending

        wait_until(settled, "nothing is pending")
        letters = [each for each in rig.letters().values() if each.raw is None]
        aside = {(e.table, number_of(e.value)) for e in letters}
        assert aside == poison
        assert len(rig.letters()) - len(letters) == undecodable
        for table in TABLES:
            good = {n for n in range(numbers[table]) if (table, n) not in poison}
            assert set(rig.sink.numbers(table)) == good
    assert rig.worker.loop.faults == 0


def number_of(value: bytes | None) -> int:
    return number(Event(0, "", "insert", "", 0, None, value or b""))


@pytest.mark.parametrize("seed", range(10))
def test_without_poison_and_refusals_every_table_stays_in_order(tmp_path: Path, seed: int) -> None:
    """Whatever is away, lost or a bug: what comes twice comes again from where it stood."""
    chance = random.Random(seed)
    with Engine(tmp_path / "j", TABLES) as rig:

        def judge(batch: Batch) -> None:
            roll = chance.random()
            if roll < 0.1:
                raise chance.choice([Retry("away"), NotConnected("lost"), ValueError("a bug")])
            if roll < 0.2:
                batch.fail(chance.choice(TABLES), Retry("busy"))
            elif roll < 0.3:
                places = sorted(chance.sample(range(len(batch)), chance.randint(1, len(batch))))
                tables = {batch[place].table for place in places}
                for table in tables:
                    first = next(p for p in places if batch[p].table == table)
                    for event in list(batch)[first:]:
                        if event.table == table:
                            batch.fail(event, Retry("from here on"))

        rig.sink.judge = judge
        rig.sink.max_in_flight = chance.choice([1, 3])
        rig.start(max_events=chance.choice([1, 7, 100]))
        numbers: dict[str, int] = defaultdict(int)
        for _ in range(60):
            table = chance.choice(TABLES)
            count = chance.randint(1, 9)
            rig.journal.append([block(range(numbers[table], numbers[table] + count), table)])
            numbers[table] += count
        rig.wait_settled()

        for table in TABLES:
            assert rig.sink.numbers(table) == list(range(numbers[table]))
        assert rig.letters() == {}
