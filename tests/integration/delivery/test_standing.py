"""A sink that keeps its own cursor is told all it needs: each event once, whatever fails."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import pytest
from services.delivery import OTHER, TABLE, Engine, ScriptedSink
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.events import Undecodable
from bridge.sinks.base import Batch, NotConnected
from bridge.sinks.kafka_cursors import Delivered, joined, runs_of

ROWS = 600


class OwnCursor(ScriptedSink):
    """Takes each event once by its own memory; fails events, and forgets to say what it took."""

    ordered_by_key: ClassVar[bool] = True

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.taken: list[int] = []
        self._chance = random.Random(seed)
        self._memory: dict[str, Delivered] = {}
        self.poison: set[int] = set()
        self.calm = False

    def deliver(self, batch: Batch) -> None:
        chance = self._chance
        for table, sent in runs_of(batch.slices).items():
            memory = self._memory.get(table, Delivered())
            mine = [piece for piece in batch.slices if piece.table == table]
            missing = [part for piece in mine for part in memory.missing(piece)]
            new = [o for part in missing for o in range(part.offset, part.end)]
            done = []
            for offset in new:
                if offset in self.poison:
                    batch.fail(self._one(batch, offset), Reject("too large", certain=True))
                elif not self.calm and chance.random() < 0.02:
                    batch.fail(self._one(batch, offset), Retry("not now"))
                else:
                    done.append(offset)
            standing = batch.standing(table)
            assert standing is not None
            self.taken += done
            runs = joined((offset, offset + 1) for offset in done)
            self._memory[table] = memory.after(standing, sent, runs)
        if not self.calm and chance.random() < 0.2:
            raise NotConnected("what became of it nobody knows")

    @staticmethod
    def _one(batch: Batch, offset: int) -> object:
        return next(event for event in batch if event.offset == offset)


@pytest.mark.parametrize("seed", range(4))
def test_a_sink_with_its_own_cursor_takes_each_event_once(tmp_path: Path, seed: int) -> None:
    """Also beside what waits, what is set aside, and what does not decode."""
    with Engine(tmp_path, (TABLE, OTHER)) as engine:
        sink = OwnCursor(seed)
        engine.start(sink, max_events=40)
        for begin in range(0, ROWS, 20):
            for table in (TABLE, OTHER):
                engine.insert(*range(begin, begin + 20), table=table)
            if begin % 100 == 0:
                engine.journal.append([Undecodable(TABLE, "http://k:9191", 1, b"?", "no record")])
            sink.poison.add(chance_of(seed, begin))
        until_calm(engine, sink)
        engine.wait_settled(timeout=60)
        letters = set(engine.letters())
        accounts = [engine.account(table) for table in (TABLE, OTHER)]

    assert len(sink.taken) == len(set(sink.taken))
    assert not letters & set(sink.taken)
    assert sum(a.delivered for a in accounts) == len(sink.taken)
    assert sum(a.received for a in accounts) == len(sink.taken) + len(letters)


def chance_of(seed: int, begin: int) -> int:
    return random.Random(f"{seed} {begin}").randrange(2 * begin + 40)


def until_calm(engine: Engine, sink: OwnCursor) -> None:
    """Let it fail until most has gone through, then no more."""
    wait_until(lambda: len(sink.taken) > ROWS, "half of it is taken", 60)
    sink.calm = True
