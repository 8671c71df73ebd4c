"""What is known of a span, and of a gap that is not closed; their turns, and their mark.

Nothing but `Gaps` changes any of it. `SPANS` and `GAPS` are the tables of what can happen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bridge.events import Gap, GapReason
from bridge.monitor.moment import Moment
from bridge.monitor.starts import Start, start_from_list, start_to_list
from bridge.monitor.writes import WriteMark

# Of each gap; about a kibibyte of the mark.
_MOST_EVIDENCE = 8
_MOST_TEXT = 200
# Digests in one mark. What is not written is read a second time: better than without bound.
_MOST_TIES = 20_000


class Span(Enum):
    """What there is of a span."""

    NONE = "none"
    OPEN = "open"
    ENDING = "ending"


class Turn(Enum):
    """What can happen to a span."""

    BEGIN = "events may be missed"
    END = "the trouble is over"
    POST = "nothing began again for a probe interval"
    WITHDRAW = "nothing was missed"


SPANS: Mapping[Span, Mapping[Turn, Span]] = {
    Span.NONE: {Turn.BEGIN: Span.OPEN},
    Span.OPEN: {Turn.BEGIN: Span.OPEN, Turn.END: Span.ENDING, Turn.WITHDRAW: Span.NONE},
    Span.ENDING: {Turn.BEGIN: Span.OPEN, Turn.POST: Span.NONE, Turn.WITHDRAW: Span.NONE},
}


class Fate(Enum):
    """What there is of a gap."""

    UNCLOSED = "unclosed"
    CLOSED = "closed"
    ACCEPTED = "accepted"


GAPS: Mapping[Fate, Mapping[str, Fate]] = {
    Fate.UNCLOSED: {"quiet": Fate.CLOSED, "read": Fate.CLOSED, "accepted": Fate.ACCEPTED},
    Fate.CLOSED: {},
    Fate.ACCEPTED: {},
}


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that is not closed, the span that goes on included.

    Attributes:
        since: microseconds since the epoch.
        until: likewise, None while the span goes on.
        why_open: in words.
        evidence: what told of it, and when, seconds since the epoch; oldest first.
        start: where a read must begin that closes it; None where there is no growing column.
        closable: whether a read can close it.
    """

    gap: str
    table: str
    since: int
    until: int | None
    reason: GapReason
    why_open: str
    evidence: tuple[tuple[float, str], ...] = ()
    start: Start | None = None
    closable: bool = True


@dataclass(slots=True)
class Evidence:
    """What told of a gap: the first of it, and the latest."""

    told: list[tuple[float, str]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Take in what was told now, unless it is what was told last."""
        text = text[:_MOST_TEXT]
        if self.told and self.told[-1][1] == text:
            return
        self.told.append((round(time.time(), 3), text))
        if len(self.told) > _MOST_EVIDENCE:
            del self.told[_MOST_EVIDENCE // 2]


@dataclass(slots=True)
class GoingOn:
    """The span that goes on.

    Attributes:
        since: since when events may be missed.
        latest: no probe asked before then ends it.
        start: where a read must begin.
        before: what the server counted a minute before it.
        stalled: whether it is nothing but a full journal, behind which all waits in memory.
        until: since when the trouble is over.
        cluster: where it was over.
    """

    gap: str
    reason: GapReason
    since: Moment
    latest: Moment
    start: Start | None
    before: WriteMark | None
    stalled: bool
    until: Moment | None = None
    cluster: str = ""
    evidence: Evidence = field(default_factory=Evidence)

    def shown(self, table: str, *, closable: bool) -> OpenGap:
        """Return it as others see it."""
        why = "it goes on" if self.until is None else "it was over a moment ago"
        told, since = tuple(self.evidence.told), round(self.since.wall * 1e6)
        return OpenGap(self.gap, table, since, None, self.reason, why, told, self.start, closable)

    def restart(self, start: Start | None, _: str | None) -> None:
        """Be read from elsewhere."""
        self.start, self.before = start, None

    def was_quiet(self, writes: WriteMark | None) -> bool:
        """Whether nothing was written from a minute before it until after it."""
        return (
            writes is not None
            and writes.last_write_time != ""  # both must be said, count and time
            and self.before is not None
            and self.until is not None
            and writes.moment.order >= self.until.order
            and self.before.same(writes)
        )


@dataclass(slots=True)
class Unclosed:
    """A gap that was posted and not closed.

    Attributes:
        posted: its event.
        why_open: what whoever tried to close it says; None where nobody did.
    """

    posted: Gap
    start: Start | None
    why_open: str | None = None
    evidence: Evidence = field(default_factory=Evidence)

    def restart(self, start: Start | None, why_open: str | None) -> None:
        """Be read from elsewhere, and say why it is still open."""
        self.start, self.why_open = start, why_open

    def shown(self, table: str, obstacle: str | None) -> OpenGap:
        """Return it as others see it."""
        gap, told = self.posted, tuple(self.evidence.told)
        why = self.why_open or obstacle or "it was not read yet"
        return OpenGap(
            gap.gap,
            table,
            gap.since,
            gap.until,
            gap.reason,
            why,
            told,
            self.start,
            obstacle is None,
        )


def unclosed_to_json(gaps: Iterable[Unclosed]) -> str:
    """Return what `unclosed_from_json` reads."""
    starts: dict[Start, int] = {}  # many gaps share theirs
    saved: list[list[Any]] = []
    for gap in gaps:
        told = gap.posted
        place = None if gap.start is None else starts.setdefault(gap.start, len(starts))
        saved.append(
            [
                *(told.cluster, told.time, told.gap, told.since, told.until, told.reason),
                *(place, gap.why_open, gap.evidence.told),
            ]
        )
    room = _MOST_TIES
    written: list[list[Any]] = []
    for start in starts:
        written.append(start_to_list(start, room))
        room -= min(room, len(start.ties))
    return json.dumps({"starts": written, "gaps": saved})


def unclosed_from_json(text: str, table: str) -> list[Unclosed]:
    """Return the gaps that an earlier run left open."""
    saved = json.loads(text)
    if isinstance(saved, list):  # of an earlier version, which had no more of each
        return [Unclosed(Gap(table, *told), None) for told in saved]
    starts = [start_from_list(start) for start in saved["starts"]]
    return [
        Unclosed(
            Gap(table, *told),
            None if place is None else starts[place],
            why_open,
            Evidence([(wall, text) for wall, text in evidence]),
        )
        for *told, place, why_open, evidence in saved["gaps"]
    ]


def take_up(gaps: Iterable[Unclosed], instead: Callable[[Start | None], Start]) -> bool:
    """Let gaps that an earlier run left be read from where they can be; whether one moved."""
    moved = False
    for gap in gaps:
        start = instead(gap.start)
        if start != gap.start:
            gap.restart(start, None)
            moved = True
    return moved
