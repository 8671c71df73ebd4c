"""Where every lane stands and what became of its events, in memory and in `state.db`.

All of it is held in memory, so what is shown never waits for the disk. A move is written at once
where it sets events aside or changes what waits, else together with others, `WRITE_SECONDS`
later at most. A commit is not followed by an fsync (`synchronous=NORMAL`): after a power cut a
cursor may stand a little further back, with the counts of that moment, and its events come
again. Only before anything of a segment is deleted is everything forced to disk.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from bridge.errors import JournalError
from bridge.journal.beside import Beside
from bridge.journal.lane import Boundary, LaneState
from bridge.journal.layout import Spans
from bridge.journal.letter_store import LetterStore
from bridge.journal.pauses import Pauses
from bridge.journal.records import Account, DeadLetter, Move
from bridge.journal.registering import Wish, changed_lanes
from bridge.journal.state_file import Key, StateFile
from bridge.journal.state_reader import spans_of
from bridge.journal.typed import KNOWN, total_of
from bridge.loop import in_parts

# A crash within this time after a move means duplicates.
WRITE_SECONDS = 0.05

Find = Callable[[str, int, int], Boundary | None]


class State:
    """The lanes, and the one connection that writes `state.db`; safe to use from all threads.

    Attributes:
        journal_id: 16 hex digits.
        format: version of the layout on disk, before it was upgraded.
        version: grows with every change of a lane.
        facts: as of opening.
        beside: what is written with the lanes, None for nothing.
        letters: what was set aside.
        pauses: what rests because somebody said so.
    """

    def __init__(self, journal: Path) -> None:
        """Open a file that exists; one of an older format is upgraded.

        Raises:
            JournalUnavailable: written by a newer version.
            ValueError: what it holds is not what was written.
            sqlite3.Error: it cannot be read.
        """
        self._journal = journal
        # Held while the file is written; taken before the other one.
        self._writing = threading.Lock()
        # Guards what is in memory; never held while anything waits.
        self._changed = threading.Condition()
        self._file = StateFile(journal)
        self.format = self._file.format
        self.letters = LetterStore(self._file, self._writing)
        self.pauses = Pauses(self._file, self._writing)
        self._registered, self._lanes = dict(self._file.sinks), dict(self._file.lanes)
        meta = self._file.meta
        self.journal_id = meta["journal_id"]
        self.version = 0
        self.facts: Mapping[str, str] = meta
        self.beside: Beside | None = None
        self._thinned = spans_of(meta)
        self._rebuilt_at = int(meta.get("rebuilt_at", "0"))
        self._dirty: set[Key] = set()
        self._ending = False

    def __repr__(self) -> str:
        return f"<State of journal {self.journal_id}, {len(self._lanes)} lanes>"

    def close(self) -> None:
        """Move all into the file and let go of it; may be called twice."""
        with suppress(JournalError):
            if self.beside is not None and self.beside.dirty:
                self.note(self.beside.facts(durable=True), (), 0)
            self.write()
        self._file.close()

    @property
    def thinned(self) -> Spans:
        """The spans in which only what some lane waits for is kept; disjoint, ascending."""
        return self._thinned

    @property
    def pruned_to(self) -> int:
        """The offset behind the last one that was pruned."""
        return self._thinned[-1][1] if self._thinned else 0

    @property
    def rebuilt(self) -> bool:
        """Whether an older file was lost, so that every sink began at the oldest entry."""
        return self._rebuilt_at > 0

    def was_lost(self, sink: str, oldest: int) -> bool:
        """Return whether a sink may have been lost with an older file, and entries are left."""
        with self._changed:
            return sink not in self._registered and oldest < self._rebuilt_at

    def sinks(self) -> list[str]:
        """Return the names of the registered sinks."""
        with self._changed:
            return sorted(sink for sink, registered in self._registered.items() if registered)

    def lanes(self, sink: str) -> dict[str, LaneState]:
        """Return the active lanes of a registered sink, by table.

        Raises:
            KeyError: no such sink is registered.
        """
        with self._changed:
            if not self._registered.get(sink):
                raise KeyError(sink)
            return {
                table: lane
                for (name, table), lane in self._lanes.items()
                if name == sink and lane.active
            }

    def active(self) -> list[tuple[str, LaneState]]:
        """Return all active lanes with their tables, of one moment, and what replays want."""
        pins = [] if self.beside is None else self.beside.pins()
        with self._changed:
            lanes = [(table, lane) for (_, table), lane in self._lanes.items() if lane.active]
        return [*lanes, *pins]

    def let_go(self) -> bool:
        """Let replays keep nothing of the journal; return whether that changed anything."""
        freed = self.beside is not None and self.beside.let_go()
        if freed:
            self.touched()
        return freed

    def touched(self) -> None:
        """Note that what is wanted of the journal changed."""
        with self._changed:
            self.version += 1

    def furthest(self) -> int:
        """Return the largest cursor of all, 0 where there is none."""
        with self._changed:
            return max((lane.cursor for lane in self._lanes.values()), default=0)

    def settled_totals(self) -> dict[str, int]:
        """Return the least total that each table must have had for what was settled."""
        totals: dict[str, int] = {}
        with self._changed:
            for (_, table), lane in self._lanes.items():
                if lane.events is None:
                    totals[table] = max(totals.get(table, 0), lane.passed)
        return totals

    def accounts(self, totals_now: Callable[[], Mapping[str, int]]) -> list[Account]:
        """Return the counts of all registered sinks against the totals at the head."""
        with self._changed:
            totals = totals_now()
            lanes = [
                (key, lane) for key, lane in self._lanes.items() if self._registered.get(key[0])
            ]
        lanes.sort(key=lambda item: item[0])
        return [
            lane.account(sink, table, total_of(totals, table, lane.events))
            for part in in_parts(lanes)
            for (sink, table), lane in part
        ]

    def discarded(self) -> int:
        """Return how many events were discarded, for all sinks together."""
        with self._changed:
            return sum(lane.discarded for lane in self._lanes.values())

    def register(self, sink: str, tables: Iterable[str], wish: Callable[[], Wish]) -> None:
        """Make a sink's lanes those of some tables.

        Args:
            sink: its name.
            tables: those routed to it.
            wish: gives what it is to get, of the moment.

        Raises:
            JournalError: it could not be written; nothing changed but the types that it takes.
        """
        wanted = frozenset(tables)
        with self._writing:
            for last in (False, False, True):  # what is delivered meanwhile makes it count anew
                with self._changed if last else nullcontext():
                    known = {t: lane for (name, t), lane in self._lanes.items() if name == sink}
                    changed = changed_lanes(known, wanted, wish())
                    going_on = {
                        (sink, t): lane
                        for t, lane in changed.items()
                        if t in known and t in wanted and known[t].active
                    }
                    with self._changed:
                        if all(self._lanes[key] is known[key[1]] for key in going_on):
                            # At once: what is moved meanwhile must build upon it.
                            self._publish(going_on)
                            self._dirty |= going_on.keys()
                            break
            others = {(sink, t): lane for t, lane in changed.items() if (sink, t) not in going_on}
            self._replace(others, {sink: True})

    def unregister(self, sink: str, head: Boundary) -> None:
        """Discard what is pending for a sink, and let its lanes keep nothing any more.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        with self._writing:
            with self._changed:
                if not self._registered.get(sink):
                    return
                changed = {
                    key: lane.stop(total_of(head.totals, key[1], lane.events))
                    for key, lane in self._lanes.items()
                    if key[0] == sink
                }
            self._replace(changed, {sink: False})

    def settle(self, sink: str, moves: Sequence[Move], boundary: Find, now: int) -> dict[str, int]:
        """Move lanes, count what became of their events, and set some aside, all in one.

        Args:
            sink: a registered sink.
            moves: one for each lane that moves.
            boundary: gives the last boundary of a table between two offsets, if there is one.
            now: microseconds since the epoch.

        Returns:
            Events by table that were neither settled nor wait and so were discarded.

        Raises:
            KeyError: no such sink is registered.
            ValueError: too many events would wait.
            JournalError: it could not be written; nothing changed.
        """
        if not any(move.dead_letters for move in moves):
            with self._changed:
                moved, lost = self._moved(sink, moves, boundary)
                if all(lane.waiting == self._lanes[key].waiting for key, lane in moved.items()):
                    self._publish(moved)
                    self._dirty |= moved.keys()
                    return lost
        with self._writing:
            with self._changed:
                moved, lost = self._moved(sink, moves, boundary)
                letters = self._new_letters(sink, moves)
            # Before a destination that keeps a cursor of its own may move it past them.
            self._replace(moved, {}, letters, now, durable=bool(letters))
        return lost

    def _moved(
        self, sink: str, moves: Sequence[Move], boundary: Find
    ) -> tuple[dict[Key, LaneState], dict[str, int]]:
        if not self._registered.get(sink):
            raise KeyError(sink)
        moved: dict[Key, LaneState] = {}
        lost: dict[str, int] = {}
        for move in moves:
            lane = self._lanes.get((sink, move.table))
            if lane is None or not lane.active:
                continue  # taken from the sink meanwhile: what it had pending is discarded
            crossed = boundary(move.table, lane.cursor, move.to) if move.to > lane.cursor else None
            if crossed is not None and lane.events is not None and KNOWN not in crossed.totals:
                crossed = None
            after, missing = lane.move(move, crossed)
            if after is not lane:
                moved[sink, move.table] = after
            if missing > 0:
                lost[move.table] = missing
        return moved, lost

    def _new_letters(self, sink: str, moves: Sequence[Move]) -> list[DeadLetter]:
        """Leave out those that were set aside, or dropped, before."""
        letters: list[DeadLetter] = []
        for move in moves:
            lane = self._lanes.get((sink, move.table))
            if lane is not None and lane.active:
                letters += (
                    letter
                    for letter in move.dead_letters
                    if lane.cursor <= letter.offset < move.to or letter.offset in lane.waiting
                )
        return letters

    def wait_for_moves(self) -> bool:
        """Wait until there is something to write; False once `end` was called."""
        with self._changed:
            self._changed.wait_for(lambda: self._dirty or self._ending)
            return not self._ending

    def end(self) -> None:
        """Wake who waits for moves: there will be no more."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def write(self, *, durable: bool = False) -> None:
        """Write down all moves; force them to disk if they must be durable.

        Raises:
            JournalError: it could not be written; they are still left.
        """
        with self._writing:
            if durable or self._dirty or (self.beside is not None and self.beside.dirty):
                self._replace({}, {}, durable=durable)

    def note(self, facts: Mapping[str, str], again: Sequence[DeadLetter], now: int) -> None:
        """Write facts, with events that were set aside again, in one transaction.

        Args:
            facts: about the journal.
            again: events set aside; where there is one of the sink and offset it is renewed.
            now: microseconds since the epoch.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        with self._writing:
            self._replace({}, {}, again, now, facts=facts, again=True)

    def thin(
        self, spans: Spans, *, drop: Boundary | None = None, lost: frozenset[int] = frozenset()
    ) -> dict[str, dict[str, int]]:
        """Note that spans hold only what waits from now on, and force the whole state to disk.

        Args:
            spans: all of them, those known before included.
            drop: all that is pending before it is discarded.
            lost: offsets that can be read no more: where they wait, they are discarded.

        Returns:
            Events discarded by sink and table.

        Raises:
            JournalError: it could not be written; nothing may be deleted.
        """
        with self._writing:
            changed: dict[Key, LaneState] = {}
            discarded: dict[str, dict[str, int]] = {}
            with self._changed:
                if drop is not None or lost:
                    for key, lane in self._lanes.items():
                        after = lane.drop_before(drop, key[1]) if drop is not None else lane
                        after = after.drop(lost) if lost else after
                        if after.discarded != lane.discarded:
                            count = after.discarded - lane.discarded
                            discarded.setdefault(key[0], {})[key[1]] = count
                        if after is not lane:
                            changed[key] = after
                # At once: what is moved meanwhile must build upon it.
                self._publish(changed)
                self._dirty |= changed.keys()
            facts = {"thinned": json.dumps(spans)}
            self._replace({}, {}, facts=facts, durable=True)
            self._thinned = spans
        return discarded

    def _publish(self, lanes: Mapping[Key, LaneState]) -> None:
        if lanes:
            self._lanes |= lanes
            self.version += 1
            self._changed.notify_all()

    def _replace(
        self,
        lanes: Mapping[Key, LaneState],
        sinks: Mapping[str, bool],
        letters: Sequence[DeadLetter] = (),
        now: int = 0,
        *,
        facts: Mapping[str, str] | None = None,
        durable: bool = False,
        again: bool = False,
    ) -> None:
        """Write lanes with all that is left to write; they are in memory once that is done."""
        with self._changed:
            rows = {key: self._lanes[key] for key in self._dirty} | dict(lanes)
        beside = self.beside
        known = {} if beside is None else beside.facts(durable=durable)
        facts = {**known, **(facts or {})}
        self._file.write(rows, sinks, letters, now, facts, durable=durable, again=again)
        if beside is not None:
            beside.written(facts)
        with self._changed:
            self._registered |= sinks
            self._publish(lanes)
            self._dirty = {key for key in self._dirty if self._lanes[key] is not rows.get(key)}
