"""What a replay is, and how it is kept: values, no locks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from bridge.journal.records import LetterFilter, Move

FACT = "replays"

ReplayState = Literal["running", "done", "stopped"]


class Letters(NamedTuple):
    """Which dead letters are delivered again.

    Attributes:
        which: those that a filter lets through; its `after` grows as they are.
        last: none with a higher number.
    """

    which: LetterFilter
    last: int


class Tally(NamedTuple):
    """One table of a replay: events before `cursor` are through; how many, and what of them."""

    cursor: int
    expected: int = 0
    replayed: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay.

    Attributes:
        number: its name.
        sink: where it goes.
        first: offset of its first event; 0 for dead letters.
        end: the offset behind its last event.
        rate: events a second, 0 for as many as go.
        begun: when it was asked for, microseconds.
        tables: how far each table is.
        letters: which dead letters it takes; None where it takes the journal.
        state: running (also while it waits for its turn), done or stopped.
        ended: when it came to its end, microseconds.
        why: why it ended before that, in words.
    """

    number: int
    sink: str
    first: int
    end: int
    rate: int
    begun: int
    tables: Mapping[str, Tally] = field(default_factory=dict)
    letters: Letters | None = None
    expected_letters: int = 0
    state: ReplayState = "running"
    ended: int | None = None
    why: str | None = None

    @property
    def expected(self) -> int:
        """How many events it was to deliver."""
        return self.expected_letters or sum(each.expected for each in self.tables.values())

    @property
    def replayed(self) -> int:
        """How many were delivered."""
        return sum(each.replayed for each in self.tables.values())

    @property
    def refused(self) -> int:
        """How many the destination refused; they are dead letters."""
        return sum(each.refused for each in self.tables.values())

    @property
    def gone(self) -> int:
        """How many of those it has passed could not be read any more; known at its end."""
        if self.state != "done":
            return 0
        return max(0, self.expected - self.replayed - self.refused)

    def moved(self, moves: Iterable[Move]) -> Replay:
        """Return it after some moves; what lies before a table's cursor counts no more."""
        tables = dict(self.tables)
        for move in moves:
            known = tables.get(move.table, Tally(0))
            counts = {"delivered": 0, "dead_lettered": 0, "discarded": 0}
            for run in move.settled:
                start = run.offset if self.letters else max(run.offset, known.cursor)
                counts[run.verdict] += max(0, run.offset + run.count - start)
            tables[move.table] = Tally(
                known.cursor if self.letters else max(known.cursor, move.to),
                known.expected,
                known.replayed + counts["delivered"],
                known.refused + counts["dead_lettered"],
            )
        return replace(self, tables=tables)


class Loaded(NamedTuple):
    """What a fact of `state.db` says of replays: `following` is the next one's number."""

    known: Mapping[int, Replay]
    totals: dict[tuple[str, str], int]
    following: int


def load_replays(text: str | None) -> Loaded:
    """Read the fact of `state.db`.

    Raises:
        ValueError: it is not what was written.
    """
    if text is None:
        return Loaded({}, {}, 1)
    try:
        found = json.loads(text)
        known: dict[int, Replay] = {}
        for each in found["replays"]:
            tables = {table: Tally(*numbers) for table, numbers in each.pop("tables").items()}
            letters = each.pop("letters")
            if letters is not None:
                which = letters[0]
                which["numbers"] = which["numbers"] and frozenset(which["numbers"])
                letters = Letters(LetterFilter(**which), letters[1])
            known[each["number"]] = Replay(**each, tables=tables, letters=letters)
        totals = {(sink, table): events for sink, table, events in found["totals"]}
        return Loaded(known, totals, found["following"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"what state.db has of replays is damaged: {error}") from error


def dump_replays(
    known: Mapping[int, Replay], totals: Mapping[tuple[str, str], int], following: int
) -> str:
    """Return the fact that `load_replays` reads."""
    return json.dumps(
        {
            "replays": [_plain(replay) for replay in known.values()],
            "totals": [[sink, table, events] for (sink, table), events in totals.items()],
            "following": following,
        },
        separators=(",", ":"),
    )


def _plain(replay: Replay) -> dict[str, Any]:
    plain = {name: getattr(replay, name) for name in Replay.__slots__}
    if replay.letters is not None:
        which = replay.letters.which._asdict()
        which["numbers"] = which["numbers"] and sorted(which["numbers"])
        plain["letters"] = [which, replay.letters.last]
    return plain
