"""Any sequence of calls: the journal does what a list and some sets do."""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.errors import JournalFull
from bridge.events import Block, Column, Count, Entry, Schema
from bridge.journal import Journal, JournalReader, Move, OnFull, Settled, Verdict

from .conftest import block, texts

SCHEMAS = [Schema(str(n), (Column("text", "string", "string"),)) for n in range(2)]
TABLES = ("a", "b", "c")
SINKS = ("one", "two")
AGE = 800.0
VERDICTS: tuple[Verdict, ...] = ("delivered", "dead_lettered", "discarded")


@dataclass
class ModelLane:
    """What one lane should have."""

    cursor: int
    waiting: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    active: bool = True


class JournalMachine(RuleBasedStateMachine):
    """Append, settle, reroute, prune, age and reopen, against a list of events."""

    on_full: ClassVar[OnFull] = "stop_capture"

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.now = 1_000_000.0
        self.events: list[tuple[str, bytes]] = []  # table and content of each, by offset
        self.lanes: dict[tuple[str, str], ModelLane] = {}
        self.sinks: set[str] = set()
        self.marks: dict[str, str] = {}
        self.made = 0
        self.oldest = 0
        self.journal = self.make()
        self.journal.open()

    def make(self) -> Journal:
        return Journal(
            self.folder / "j",
            max_size=2**20,
            segment_size=2**17,
            max_age=AGE,
            on_full=self.on_full,
            clock=lambda: self.now,
        )

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)
        structlog.reset_defaults()

    @initialize()
    def register_one(self) -> None:
        self.register("one", {"a", "b"})

    def pending(self, table: str, lane: ModelLane) -> set[int]:
        if not lane.active:
            return set()
        new = range(lane.cursor, len(self.events))
        return lane.waiting | {offset for offset in new if self.events[offset][0] == table}

    @rule(sink=st.sampled_from(SINKS), tables=st.sets(st.sampled_from(TABLES)))
    def register(self, sink: str, tables: set[str]) -> None:
        self.sinks.add(sink)
        for table in TABLES:
            lane = self.lanes.get((sink, table))
            if lane is not None and lane.active and table not in tables:
                lane.counts["discarded"] += len(self.pending(table, lane))
                lane.active, lane.waiting = False, set()
            elif table in tables and lane is None:
                self.lanes[sink, table] = ModelLane(len(self.events))
            elif table in tables and lane is not None and not lane.active:
                lane.cursor, lane.active = len(self.events), True

        assert self.journal.register(sink, tables).keys() == tables

    @rule(
        entries=st.lists(
            st.tuples(
                st.sampled_from(TABLES),
                st.integers(0, 4),
                st.sampled_from([1, 100, 25_000]),
                st.sampled_from(SCHEMAS),
            ),
            max_size=6,
        ),
        mark=st.none() | st.text(max_size=3),
    )
    def append(self, entries: list[tuple[str, int, int, Schema]], mark: str | None) -> None:
        given: list[Entry] = []
        events: dict[str, list[tuple[str, bytes]]] = {}
        for table, count, size, schema in entries:
            time = int(self.now * 1e6)
            if count == 0:  # tables stand in the order of their first events
                given.append(block(table, [], time, schema))
                continue
            own = events.setdefault(table, [])
            if count == 4:
                given.append(Count(table, "c", time, "update", self.made))
                own.append((table, b"%d" % self.made))
                self.made += 1
                continue
            made = [b"%*d" % (size, self.made + n) for n in range(count)]
            self.made += count
            given.append(block(table, made, time, schema))
            own += [(table, text) for text in made]
        marks = {} if mark is None else {"m": mark}
        try:
            head = self.journal.append(given, marks)
        except JournalFull:
            assert self.on_full == "stop_capture"
            assert any(self.pending(key[1], lane) for key, lane in self.lanes.items())
        else:
            self.events += [event for own in events.values() for event in own]
            self.marks |= marks
            assert head == len(self.events)
        self.follow_dropping()

    @rule(table=st.sampled_from(TABLES), small=st.sampled_from(TABLES))
    def burst(self, table: str, small: str) -> None:
        """Append much of one table and little of another, so that segments fill."""
        for _ in range(3):
            self.append([(table, 3, 40_000, SCHEMAS[0]), (small, 1, 10, SCHEMAS[0])], None)

    @rule(
        sink=st.sampled_from(SINKS),
        table=st.sampled_from(TABLES),
        share=st.floats(0, 1),
        data=st.data(),
    )
    def settle(self, sink: str, table: str, share: float, data: st.DataObject) -> None:
        lane = self.lanes.get((sink, table))
        if lane is None or sink not in self.sinks:
            return
        head = len(self.events)
        to = lane.cursor + round(share * max(0, head - lane.cursor))
        fate = st.sampled_from((*VERDICTS, "waits"))
        runs: list[Settled] = []
        waiting: set[int] = set()
        for offset in sorted(self.pending(table, lane)):
            if offset >= to:
                continue
            what = data.draw(fate) if offset % 5 == 0 or offset in lane.waiting else "delivered"
            if what == "waits":
                waiting.add(offset)
            else:
                runs.append(Settled(offset, 1, what))
                lane.counts[what] += 1
        runs += [
            Settled(offset, 1, "delivered")
            for offset in range(max(0, lane.cursor - 2))
            if self.events[offset][0] == table and offset not in lane.waiting
        ]
        self.journal.settle(sink, [Move(table, to, tuple(runs), tuple(sorted(waiting)))])
        if lane.active:
            lane.cursor, lane.waiting = to, waiting

    @rule(seconds=st.sampled_from([1.0, AGE / 4, AGE * 2]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def keep_up(self) -> None:
        for _ in range(30):
            if self.journal.upkeep() > 0:
                return
        raise AssertionError("upkeep never ends")

    def follow_dropping(self) -> None:
        """Learn what was dropped, check that it could be, and count it."""
        oldest = self.journal.stats().oldest
        for (sink, table), lane in self.lanes.items():
            if not lane.active:
                continue
            now = self.journal.lanes(sink)[table]
            dropped = lane.waiting - set(now.waiting)
            dropped |= {
                offset
                for offset in range(lane.cursor, now.cursor)
                if self.events[offset][0] == table
            }
            if now.cursor != lane.cursor or dropped:
                assert self.on_full == "drop_oldest", "what waits is gone"
                assert max(dropped, default=0) < oldest
            lane.counts["discarded"] += len(dropped)
            lane.cursor, lane.waiting = now.cursor, lane.waiting - dropped

    @rule()
    def reopen(self) -> None:
        identifier = self.journal.id
        self.journal.close()
        self.journal = self.make()
        self.journal.open()
        assert self.journal.id == identifier

    @rule(sink=st.sampled_from(SINKS))
    def unregister(self, sink: str) -> None:
        self.journal.unregister(sink)
        self.sinks.discard(sink)
        for (name, table), lane in self.lanes.items():
            if name == sink and lane.active:
                lane.counts["discarded"] += len(self.pending(table, lane))
                lane.active, lane.waiting = False, set()

    def read(self, reader: JournalReader, start: int, tables: set[str] | None) -> dict[int, bytes]:
        """Read to the head, check every event, and return those of which anything was read."""
        found: dict[int, bytes] = {}
        position = start
        while True:
            page = reader.read(position, max_entries=7, tables=tables)
            assert page.damaged == []
            for offset, count, entry in page.entries:
                assert offset + count > position
                assert tables is None or entry.table in tables
                if isinstance(entry, Block):
                    contents = texts(entry.payload)
                    assert len(contents) == entry.count == count == sum(n for n, _ in entry.times)
                else:
                    contents = [b"%d" % entry.count]
                for index, content in enumerate(contents):
                    assert self.events[offset + index] == (entry.table, content)
                    found[offset + index] = content
            if page.next == position:
                break
            position = page.next
        assert position == len(self.events)
        return found

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def read_somewhere(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.events)))
        tables = data.draw(st.none() | st.sets(st.sampled_from(TABLES)))
        with JournalReader(self.folder / "j") as reader:
            self.read(reader, start, tables)

    @rule()
    def read_what_waits(self) -> None:
        with self.journal.reader() as reader:
            for (sink, table), lane in self.lanes.items():
                if lane.active:
                    start = self.journal.lanes(sink)[table].start
                    found = self.read(reader, start, {table})
                    assert self.pending(table, lane) <= found.keys(), "it was to be kept"

    @invariant()
    def everything_agrees(self) -> None:
        assert self.journal.head == len(self.events)
        assert self.journal.marks() == self.marks
        assert set(self.journal.sinks()) == self.sinks
        for sink in self.sinks:
            for table, now in self.journal.lanes(sink).items():
                lane = self.lanes[sink, table]
                assert (now.cursor, set(now.waiting)) == (lane.cursor, lane.waiting)
                assert now.start <= min(self.pending(table, lane), default=len(self.events))
        accounts = {(one.sink, one.table): one for one in self.journal.accounts()}
        assert accounts.keys() == {key for key in self.lanes if key[0] in self.sinks}
        for (sink, table), account in accounts.items():
            lane = self.lanes[sink, table]
            counts = {
                "delivered": account.delivered,
                "dead_lettered": account.dead_lettered,
                "discarded": account.discarded,
            }
            assert (counts, account.pending) == (lane.counts, len(self.pending(table, lane)))
            assert account.received == sum(counts.values()) + account.pending


class DroppingMachine(JournalMachine):
    """The same, where a full journal drops the oldest."""

    on_full: ClassVar[OnFull] = "drop_oldest"


TestStopCapture = JournalMachine.TestCase
TestStopCapture.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestDropOldest = DroppingMachine.TestCase
TestDropOldest.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
