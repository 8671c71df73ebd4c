"""Whatever is asked of a name while its sink hangs: one `deliver` at a time, and none is lost."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from services.delivery import OTHER, TABLE, Engine, ScriptedSink, settings
from services.process import wait_until

from bridge.sinks import Batch


class Destination:
    """What all sinks of one name write to, slow at random; it knows who is inside."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self.inside: list[tuple[ScriptedSink, set[str]]] = []
        self.overlaps: list[str] = []
        self.rows: list[tuple[str, int]] = []

    def sink(self) -> ScriptedSink:
        """Return a sink that delivers here."""
        sink = ScriptedSink()
        sink.max_in_flight = self._chance.choice([1, 2])

        def judge(batch: Batch) -> None:
            mine = (sink, batch.tables)
            with self._lock:
                for other, tables in self.inside:
                    if other is not sink or tables & batch.tables:
                        self.overlaps.append(f"{tables} while {batch.tables}")
                self.inside.append(mine)
                hang = self._chance.choice([0.0, 0.0, 0.01, 0.1])
            threading.Event().wait(hang)
            with self._lock:
                self.inside.remove(mine)
                self.rows += [(event.table, event.offset) for event in batch]

        def opening() -> None:
            with self._lock:
                if any(other is not sink for other, _ in self.inside):
                    self.overlaps.append("opened while another delivers")

        sink.judge, sink.opening = judge, opening
        return sink


@pytest.mark.parametrize("seed", range(8))
def test_retired_and_configured_over_and_over(tmp_path: Path, seed: int) -> None:
    """By several threads at once; at the end every row is there and no thread is left."""
    chance = random.Random(seed)
    destination = Destination(chance)
    plans = [
        [
            (chance.choice(["configure", "configure", "retire"]), chance.choice([0, 0.001, 0.03]))
            for _ in range(25)
        ]
        for _ in range(2)
    ]
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:
        rig.start(destination.sink())

        def ask(plan: list[tuple[str, float]]) -> None:
            for what, pause in plan:
                if what == "retire":
                    rig.worker.retire()
                else:
                    rig.worker.configure(destination.sink(), settings(), rig.tables, rig.output)
                threading.Event().wait(pause)

        threads = [threading.Thread(target=ask, args=(plan,)) for plan in plans]
        for thread in threads:
            thread.start()
        for n in range(60):
            rig.insert(n, table=(TABLE, OTHER)[n % 2])
            threading.Event().wait(0.005)
        for thread in threads:
            thread.join()
        rig.worker.configure(destination.sink(), settings(), rig.tables, rig.output)
        rig.wait_settled()

        assert destination.overlaps == []
        assert {offset for _, offset in destination.rows} == set(range(60))
        for table in (TABLE, OTHER):
            first = list(dict.fromkeys(o for t, o in destination.rows if t == table))
            assert first == sorted(first)
        rig.worker.retire()
        assert rig.worker.join(10)
        assert [t for t in threading.enumerate() if t.name.startswith("sink-s")] == []


def test_a_name_that_is_unregistered_while_it_hangs_begins_anew(tmp_path: Path) -> None:
    """What the old sink still confirms is nobody's; the new one gets what comes from then on."""
    with Engine(tmp_path / "j") as rig:
        hangs, inside = threading.Event(), threading.Event()

        def judge(_: Batch) -> None:
            inside.set()
            hangs.wait(60)

        rig.sink.judge = judge
        rig.insert(1, 2)
        rig.start()
        assert inside.wait(10)
        rig.worker.retire()
        rig.journal.unregister("s")
        rig.insert(3)
        rig.journal.register("s", rig.tables)
        rig.insert(4)
        fresh = ScriptedSink()
        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        hangs.set()
        rig.wait_settled()

        assert (rig.sink.numbers(), fresh.numbers()) == ([1, 2], [4])
        assert rig.account().delivered == 1
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is well")
        assert rig.worker.loop.faults == 0
