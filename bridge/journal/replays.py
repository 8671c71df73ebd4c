"""Replays: what is to be delivered once more, how far that is, and what came of it.

They stand in `state.db` beside the lanes and outside their counts: a crash costs duplicates, and
a replay goes on. While one runs it keeps its part of the journal, as long as there is room for
what is received: that goes first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bridge.journal.lane import LaneState
from bridge.journal.records import Move
from bridge.journal.replay import (
    FACT,
    Letters,
    Replay,
    ReplayState,
    Tally,
    dump_replays,
    load_replays,
)
from bridge.journal.state import State
from bridge.journal.typed import total_of

# Of those that are over so many are remembered.
_MOST_OVER = 50
_WRITE_SECONDS = 0.5


class Replays:
    """All replays of an open journal; safe to use from all threads.

    Args:
        state: where they are kept.
        totals_at: gives how many events of each table there were before an offset.
        now: microseconds since the epoch.
        clock: monotonic.
    """

    def __init__(
        self,
        state: State,
        totals_at: Callable[[int], Mapping[str, int]],
        now: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._totals_at = totals_at
        self._now = now
        self._clock = clock
        self._changing = threading.Lock()  # held over a change; taken before the state's locks
        self._lock = threading.Lock()  # guards what is in memory
        stored = load_replays(state.facts.get(FACT))
        self._known, self._totals = dict(stored.known), stored.totals
        self._next = stored.following
        self._let_go: set[int] = set()  # these keep nothing of the journal any more
        # Versions of what is in memory: the present one, the one offered to be written, and the
        # one that was.
        self._version, self._offered, self._given = 0, 0, 0
        self._written_at = clock()
        state.beside = self

    def __repr__(self) -> str:
        return f"<Replays {sorted(self._known)}>"

    def all(self) -> list[Replay]:
        """Return those that run and those that are over, in the order they were asked for."""
        with self._lock:
            return list(self._known.values())

    def find(self, number: int) -> Replay:
        """Return one.

        Raises:
            KeyError: no replay has the number, or it is long over.
        """
        with self._lock:
            return self._known[number]

    def next_of(self, sink: str) -> Replay | None:
        """Return the one that is a sink's turn, None where nothing is to be replayed to it."""
        with self._lock:
            running = (r for r in self._known.values() if r.state == "running")
            return next((replay for replay in running if replay.sink == sink), None)

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how many events were replayed in the journal's life, by sink and table."""
        with self._lock:
            return dict(self._totals)

    def begin(
        self,
        sink: str,
        tables: Collection[str],
        first: int,
        end: int,
        *,
        events: frozenset[str] | None = None,
        rate: int = 0,
    ) -> Replay:
        """Ask for a span of the journal to be delivered again.

        Args:
            sink: where to.
            tables: of these alone.
            first: offset of the first event, still stored.
            end: the offset behind the last one.
            events: the types that the sink takes, None for all.
            rate: events a second, 0 for as many as go.

        Raises:
            JournalError: it could not be looked up, or not be written; there is none.
        """
        before, after = self._totals_at(first), self._totals_at(end)
        tallies = {
            table: Tally(
                first, max(0, total_of(after, table, events) - total_of(before, table, events))
            )
            for table in sorted(tables)
        }
        return self._begin(Replay(0, sink, first, end, rate, self._now(), tallies))

    def begin_letters(self, sink: str, letters: Letters, expected: int, *, rate: int = 0) -> Replay:
        """Ask for dead letters to be delivered again.

        Args:
            sink: where to.
            letters: which.
            expected: how many they are.
            rate: events a second, 0 for as many as go.

        Raises:
            JournalError: it could not be written; there is none.
        """
        now = self._now()
        return self._begin(
            Replay(0, sink, 0, 0, rate, now, letters=letters, expected_letters=expected)
        )

    def settle(
        self, number: int, moves: Sequence[Move], *, after: int = 0, at_once: bool = False
    ) -> None:
        """Note what became of events; what was refused is set aside.

        Where an event is a dead letter of the sink already, that is renewed.

        Args:
            number: of the replay.
            moves: of its tables.
            after: of a replay of dead letters: those up to this number are through.
            at_once: whether it is written down before this returns, also if nothing was refused.

        Raises:
            KeyError: there is no such replay any more.
            JournalError: it could not be written; nothing changed.
        """
        with self._changing:
            before = self.find(number)
            replay = before.moved(moves)
            if replay.letters is not None and after:
                which = replay.letters.which._replace(after=after)
                replay = replace(replay, letters=replay.letters._replace(which=which))
            totals = dict(self._totals)
            for table in {move.table for move in moves}:
                more = replay.tables[table].replayed - before.tables.get(table, Tally(0)).replayed
                key = replay.sink, table
                totals[key] = totals.get(key, 0) + more
            refused = [letter for move in moves for letter in move.dead_letters]
            if refused or at_once:
                known = {**self._known, number: replay}
                facts = {FACT: dump_replays(known, totals, self._next)}
                self._state.note(facts, refused, self._now())
            with self._lock:
                self._known[number], self._totals = replay, totals
                self._version += 1

    def finish(self, number: int, state: ReplayState, why: str | None = None) -> Replay:
        """Let a replay be over; one that is over already stays as it is.

        Raises:
            KeyError: no replay has the number.
            JournalError: it could not be written; it goes on.
        """
        with self._changing:
            replay = self.find(number)
            if replay.state == "running":
                replay = replace(replay, state=state, ended=self._now(), why=why)
                self._put(replay)
            return replay

    def pins(self) -> list[tuple[str, LaneState]]:
        """Return what those that run want of the journal, as lanes with their tables."""
        with self._lock:
            return [
                (table, LaneState(tally.cursor, -1, end=replay.end))
                for replay in self._known.values()
                if replay.state == "running" and replay.number not in self._let_go
                for table, tally in replay.tables.items()
                if tally.cursor < replay.end
            ]

    def let_go(self) -> bool:
        """Keep nothing of the journal any more, as there is no room; return whether it did."""
        held = bool(self.pins())
        with self._lock:
            self._let_go |= self._known.keys()
        return held

    # What `State` writes with its own.

    @property
    def dirty(self) -> bool:
        """Whether something is not written yet."""
        with self._lock:
            return self._version != self._given

    def facts(self, *, durable: bool) -> Mapping[str, str]:
        """Return what is to be written now; `written` says that it was."""
        with self._lock:
            late = self._clock() - self._written_at >= _WRITE_SECONDS
            if self._version == self._given or not (durable or late):
                return {}
            self._offered = self._version
            return {FACT: dump_replays(self._known, self._totals, self._next)}

    def written(self, facts: Mapping[str, str]) -> None:
        """Note that facts were written."""
        if FACT in facts:
            with self._lock:
                self._given = max(self._given, self._offered)
                self._written_at = self._clock()

    def write(self) -> None:
        """Write down how far they are, if that was not done for a while.

        Raises:
            JournalError: it could not be written.
        """
        if self.dirty and self._clock() - self._written_at >= _WRITE_SECONDS:
            self._state.write()

    def _begin(self, replay: Replay) -> Replay:
        with self._changing:
            replay = replace(replay, number=self._next)
            self._put(replay)
        return replay

    def _put(self, replay: Replay) -> None:
        """Write one down at once, then have it."""
        known = {**self._known, replay.number: replay}
        over = [number for number, each in known.items() if each.state != "running"]
        for number in over[:-_MOST_OVER]:
            del known[number]
        following = max(self._next, replay.number + 1)
        text = dump_replays(known, self._totals, following)
        self._state.note({FACT: text}, (), self._now())
        with self._lock:
            self._known, self._next = known, following
            self._version += 1
        self._state.touched()
