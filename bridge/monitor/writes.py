"""What the server counts of the writes to a table, and what follows from it.

Equal counts mean that nothing was written; unequal ones mean that something was (protocol,
section 2.1). Counts are a cluster's own: they are compared only with what the same cluster
said of the same table.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass

from bridge.monitor.moment import Moment

# A write may count a little later than it is done: so far a comparison reaches over a span.
MARGIN_SECONDS = 60.0
# Spans are noticed late: so far before the last good moment one may begin.
_REACH_SECONDS = 300.0
# Probes in a row that count writes of which nothing is heard, until it is suspicious.
_SUSPICIOUS = 2


@dataclass(frozen=True, slots=True)
class WriteMark:
    """What a cluster said of a table's writes.

    Attributes:
        moment: before it was asked.
        cluster: the cluster's identity.
        identity: the table's.
        write_count: how often it was written.
        last_write_time: as the cluster writes it; "" where it was never written.
    """

    moment: Moment
    cluster: str
    identity: str
    write_count: int
    last_write_time: str

    def same(self, other: WriteMark) -> bool:
        """Whether nothing was written between the two, by the word of one cluster."""
        return (self.cluster, self.identity, self.write_count, self.last_write_time) == (
            other.cluster,
            other.identity,
            other.write_count,
            other.last_write_time,
        )


class Writes:
    """What was counted lately of one table's writes. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._marks: list[WriteMark] = []  # each as it was when it was first said
        self._settled: WriteMark | None = None
        self._heard = -1
        self._base: WriteMark | None = None  # as of when something was heard last
        self._strikes = 0

    def note(self, mark: WriteMark, heard: int) -> None:
        """Take in what a probe said.

        Args:
            mark: both its count and its time were said by the server.
            heard: notifications of the table that have come by then, in all.
        """
        with self._lock:
            last = self._marks[-1] if self._marks else None
            if last is None or not last.same(mark):
                self._marks.append(mark)
            base = self._base
            if heard != self._heard or base is None or _of(base) != _of(mark):
                self._heard, self._base, self._strikes = heard, mark, 0
            elif base.write_count != mark.write_count:
                self._strikes += 1
            else:
                self._strikes = 0

    def before(self, since: Moment) -> WriteMark | None:
        """Return what was said a minute before a moment, None where nothing was by then."""
        with self._lock:
            return self._before(since.order - MARGIN_SECONDS)

    def _before(self, order: float) -> WriteMark | None:
        known = [mark for mark in self._marks if mark.moment.order <= order]
        return known[-1] if known else None

    @property
    def unheard(self) -> bool:
        """Whether writes were counted and nothing was heard, for two probes.

        A suspicion: to be confirmed by a count of rows, or a read.
        """
        return self._strikes >= _SUSPICIOUS

    @property
    def unheard_since(self) -> Moment | None:
        """Since when nothing may have been heard of writes, None where nothing tells of that."""
        with self._lock:
            base = self._base
            return base.moment if base is not None and self.unheard else None

    def forget(self) -> None:
        """Forget all: it is another table."""
        with self._lock:
            self._marks, self._base, self._strikes = [], None, 0

    # What outlives a restart.

    def settle(self, good: Moment) -> str | None:
        """Let go of what no span can need that begins after about a good moment.

        Returns:
            What `from_json` reads: what was said a minute before that moment. None where that is
            what it was at the last call.
        """
        with self._lock:
            needed = self._before(good.order - _REACH_SECONDS - MARGIN_SECONDS)
            if needed is not None:
                del self._marks[: self._marks.index(needed)]
            mark = self._before(good.order - MARGIN_SECONDS)
            if mark is self._settled:
                return None
            self._settled = mark
            return json.dumps(
                mark
                and [
                    mark.moment.wall,
                    mark.cluster,
                    mark.identity,
                    mark.write_count,
                    mark.last_write_time,
                ]
            )

    def from_json(self, text: str) -> None:
        """Take up what an earlier run was told."""
        saved = json.loads(text)
        if saved is not None:
            with self._lock:
                self._settled = WriteMark(Moment(-math.inf, saved[0]), *saved[1:])
                self._marks = [self._settled]


def _of(mark: WriteMark) -> tuple[str, str]:
    return mark.cluster, mark.identity
