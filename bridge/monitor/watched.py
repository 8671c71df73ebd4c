"""A table that is watched: its monitors as they were made, and when to try again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from bridge.loop import backoff
from bridge.monitor.channel import Line
from bridge.monitor.cluster_monitors import Established
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.probe import Observation, View
from bridge.monitor.table import TableMonitor
from bridge.monitor.writes import Writes
from bridge.wire.calls import Facts

# A renewal is of use if the monitors stand for so long after it; else the next one waits.
_STANDS_SECONDS = 60.0
_NO_LINE = Line()


@dataclass(eq=False, slots=True)
class Pace:
    """When something that is tried again and again may be tried next.

    Attributes:
        first, longest: seconds to wait after the first try, and at most.
        attempts: tries since it last was of use.
        at: not before then, by the monotonic clock.
    """

    first: float = 0.2
    longest: float = 10.0
    attempts: int = 0
    at: float = -math.inf

    @property
    def due(self) -> bool:
        """Whether it may be tried now."""
        return time.monotonic() >= self.at

    def back_off(self, at_least: float = 0.0) -> None:
        """Wait before the next try, longer each time."""
        self.attempts += 1
        wait = backoff(self.attempts, self.first, self.longest)
        self.at = time.monotonic() + max(at_least, wait)

    def reset(self) -> None:
        """Note that it was of use."""
        self.attempts, self.at = 0, -math.inf


@dataclass(eq=False, slots=True)
class Suspicion:
    """That a table is not heard any more: its server counts writes, and nothing comes of them.

    One count of rows proves nothing; that it moved while still nothing was heard does.

    Attributes:
        confirmed: whether that is so.
        since: from when on something may have been missed.
        pace: of counting rows.
    """

    confirmed: bool = False
    since: Moment | None = None
    pace: Pace = field(default_factory=lambda: Pace(1.0, 60.0))
    _rows: int | None = None

    def note(self, rows: int, writes: Writes) -> None:
        """Take in how many rows the table has now."""
        self.since = writes.unheard_since
        self.confirmed = self.since is not None and self._rows not in (None, rows)
        self._rows = rows

    def forget(self) -> None:
        """Forget it: what is counted is heard, or the monitors are made again."""
        self.confirmed, self.since, self._rows = False, None, None


@dataclass(eq=False, slots=True)
class Watched:
    """A table that is watched. Written by the watch's thread, or by the one job it has.

    Attributes:
        expected: what the cluster says of it where its monitors stand, found to be right.
        ended_at: when the last job for it ended, or for what had its name before.
        after: what was watched under its name before, with other settings.
        absent_at: when it was seen not to be there, None if it is.
        tries: of making its monitors.
        renewals: of making them again because they are of no use.
    """

    table: TableMonitor
    made: Established | None = None
    expected: Facts | None = None
    busy: bool = False
    ended_at: Moment = NEVER
    gone: bool = False
    tried: bool = False
    after: Watched | None = None
    absent_at: Moment | None = None
    tries: Pace = field(default_factory=Pace)
    renewals: Pace = field(default_factory=lambda: Pace(1.0, 60.0))
    suspicion: Suspicion = field(default_factory=Suspicion)

    def view(self, cluster: str, line: Line) -> View:
        """Return the table as the probe's decision sees it now.

        Args:
            cluster: the identity of the cluster in use.
            line: its channel's connection.
        """
        table, made = self.table, self.made
        return View(
            name=table.name,
            state=table.state,
            established=made is not None,
            expected=self.expected,
            identity=table.identities.get(cluster, ""),
            known=table.schema is not None and self.absent_at is None,
            monitors=made.names if made else (),
            line=line,
            quiet_for=table.quiet_for,
            inactivity_timeout=table.options.inactivity_timeout,
        )

    @property
    def line(self) -> Line:
        """Its channel's connection as it is now."""
        return self.made.channel.line if self.made is not None else _NO_LINE

    def may_try(self, seen: Observation) -> bool:
        """Whether to make its monitors now: it is there again, or it is time for another try."""
        if self.absent_at is not None and seen.facts.get(self.table.name) is not None:
            return True
        return self.tries.due

    def is_still_absent(self, seen: Observation) -> bool:
        """Whether it was not there, and is not."""
        name = self.table.name
        return self.absent_at is not None and name in seen.facts and seen.facts[name] is None

    def was_seen_on(self, cluster: str, *, alone: bool) -> bool:
        """Whether a cluster is where the table was seen last.

        Args:
            cluster: its identity.
            alone: whether there is no other one.
        """
        seen_on = self.table.seen_on
        return cluster == seen_on if seen_on else alone

    @property
    def is_free(self) -> bool:
        """Whether no job is under way for it, nor for what had its name before."""
        return not self.busy and self.after is None

    @property
    def is_done(self) -> bool:
        """Whether it is not wanted any more, and nothing of it is left to be seen to."""
        return self.gone and self.made is None and not self.busy

    def forget_former(self) -> None:
        """Let go of what had its name before, once that is done with."""
        former = self.after
        if former is None:
            return
        former.forget_former()
        if former.is_done and former.after is None:
            self.after, self.ended_at = None, max(self.ended_at, former.ended_at)

    def end_job(self) -> None:
        """Note that its job is done; what a probe saw before says nothing of it any more."""
        self.ended_at, self.busy = Moment.now(), False  # in this order: others look meanwhile

    def move(self) -> None:
        """Note that its monitors are to be made elsewhere."""
        self.made = self.expected = None
        self.tries.reset()
        self.renewals.reset()
        self.suspicion.forget()

    def note_standing(self, made: Established) -> None:
        """Note that its monitors stand: a renewal was of use if they do for long."""
        if self.renewals.attempts and time.monotonic() - made.at.order > _STANDS_SECONDS:
            self.renewals.reset()
