"""Any sequence of calls: the journal does what a list and some counters do."""

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
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bridge.errors import JournalFull
from bridge.events import Column, Count, Entry, Rows, Schema
from bridge.journal import Journal, JournalReader, OnFull, Settled, Verdict

SCHEMAS = [Schema(str(n), (Column("id", "long", "long"),)) for n in range(2)]
TABLES = ("a", "b", "c")
SINKS = ("one", "two")
AGE = 800.0


@dataclass
class ModelSink:
    """What one sink should have: counts by table, and the offset each counts from."""

    cursor: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    routed: set[str] = field(default_factory=set)


class JournalMachine(RuleBasedStateMachine):
    """Append, advance, reroute, prune, age and reopen, against a list of events."""

    on_full: ClassVar[OnFull] = "stop_capture"

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1_000_000.0
        self.events: list[str] = []  # the table of each event, by offset
        self.starts: dict[int, tuple[str, bytes]] = {}  # first offset of each entry
        self.sinks: dict[str, ModelSink] = {}
        self.marks: dict[str, str] = {}
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

    @rule(sink=st.sampled_from(SINKS), tables=st.sets(st.sampled_from(TABLES)))
    def register(self, sink: str, tables: set[str]) -> None:
        model = self.sinks.get(sink)
        if model is None:
            model = self.sinks[sink] = ModelSink(len(self.events))
        for table in tables - model.routed:
            model.counts.setdefault(table, {"delivered": 0, "dead_lettered": 0, "discarded": 0})
            model.since[table] = max(model.cursor, model.since.get(table, 0))
        for table in model.routed - tables:
            self.discard(model, table, len(self.events))
            model.since[table] = len(self.events)
        model.routed = set(tables)

        assert self.journal.register(sink, tables) == model.cursor

    def discard(self, model: ModelSink, table: str, to: int) -> None:
        start = max(model.cursor, model.since[table])
        model.counts[table]["discarded"] += self.events[start:to].count(table)

    @rule(
        entries=st.lists(
            st.tuples(
                st.sampled_from(TABLES),
                st.integers(0, 4),
                st.sampled_from([1, 100, 20_000]),
                st.sampled_from(SCHEMAS),
            ),
            max_size=5,
        ),
        mark=st.none() | st.text(max_size=3),
    )
    def append(self, entries: list[tuple[str, int, int, Schema]], mark: str | None) -> None:
        given: list[Entry] = []
        starts: dict[int, tuple[str, bytes]] = {}
        events = list(self.events)
        for table, count, size, schema in entries:
            frames = [bytes([len(events) % 251]) * size] * count
            time = int(self.now * 1e6)
            if count == 4:
                given.append(Count(table, "c", time, "update", 4))
                starts[len(events)] = (table, b"")
                events.append(table)
                continue
            given.append(Rows(table, "c", time, "insert", schema, frames))
            if count:
                starts[len(events)] = (table, b"".join(frames))
            events += [table] * count
        marks = {} if mark is None else {"m": mark}
        try:
            head = self.journal.append(given, marks)
        except JournalFull:
            assert self.on_full == "stop_capture"
            assert min(sink.cursor for sink in self.sinks.values()) < len(self.events)
        else:
            self.events = events
            self.starts |= starts
            self.marks |= marks
            assert head == len(events)
        self.follow_pruning()

    @rule(
        sink=st.sampled_from(SINKS),
        share=st.floats(0, 1),
        verdict=st.sampled_from(["delivered", "dead_lettered", "discarded"]),
    )
    def advance(self, sink: str, share: float, verdict: Verdict) -> None:
        model = self.sinks.get(sink)
        if model is None:
            return
        to = model.cursor + round(share * (len(self.events) - model.cursor))
        runs = []
        for offset in range(max(0, model.cursor - 2), to):
            table = self.events[offset]
            runs.append(Settled(table, offset, 1, verdict))
            if table in model.routed and offset >= max(model.cursor, model.since[table]):
                model.counts[table][verdict] += 1
        self.journal.advance(sink, to, runs)
        model.cursor = to

    @rule(seconds=st.sampled_from([1.0, AGE / 4, AGE * 2]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def prune(self) -> None:
        self.journal.prune()
        self.follow_pruning()

    def follow_pruning(self) -> None:
        """Learn what went, check that it could go, and count it for the sinks."""
        oldest = self.journal.stats().oldest
        assert oldest >= self.oldest
        for model in self.sinks.values():
            if model.cursor < oldest:
                assert self.on_full == "drop_oldest", "unacknowledged entries are gone"
                for table in model.routed:
                    self.discard(model, table, oldest)
                model.cursor = oldest
        self.oldest = oldest

    @rule()
    def reopen(self) -> None:
        identifier = self.journal.id
        self.journal.close()
        self.journal = self.make()
        self.journal.open()
        assert self.journal.id == identifier

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.events)))
        tables = data.draw(st.none() | st.sets(st.sampled_from(TABLES)))
        got: dict[int, tuple[str, bytes]] = {}
        with JournalReader(self.folder / "j") as reader:
            position = start
            while True:
                page = reader.read(position, max_entries=7, tables=tables)
                assert page.damaged == []
                for offset, count, entry in page.entries:
                    assert offset + count > start
                    got[offset] = (entry.table, getattr(entry, "payload", b""))
                if page.next == position:
                    break
                position = page.next
        assert position == len(self.events)
        low = max(start, self.oldest)
        expected = {
            offset: stored
            for offset, stored in self.starts.items()
            if offset + self.length(offset) > low and (tables is None or stored[0] in tables)
        }
        assert got == expected

    def length(self, offset: int) -> int:
        later = [start for start in self.starts if start > offset]
        return min(later, default=len(self.events)) - offset

    @invariant()
    def everything_agrees(self) -> None:
        assert self.journal.head == len(self.events)
        assert self.journal.marks() == self.marks
        for sink, model in self.sinks.items():
            assert self.journal.cursor(sink) == model.cursor
        accounts = {(one.sink, one.table): one for one in self.journal.accounts()}
        assert accounts.keys() == {
            (sink, table) for sink, model in self.sinks.items() for table in model.counts
        }
        for (sink, table), account in accounts.items():
            model = self.sinks[sink]
            pending = 0
            if table in model.routed:
                start = max(model.cursor, model.since[table])
                pending = self.events[start:].count(table)
            counts = {
                "delivered": account.delivered,
                "dead_lettered": account.dead_lettered,
                "discarded": account.discarded,
            }
            assert (counts, account.pending) == (model.counts[table], pending)
            assert account.received == sum(counts.values()) + pending


class DroppingMachine(JournalMachine):
    """The same, where a full journal drops the oldest."""

    on_full: ClassVar[OnFull] = "drop_oldest"


TestStopCapture = JournalMachine.TestCase
TestStopCapture.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestDropOldest = DroppingMachine.TestCase
TestDropOldest.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
