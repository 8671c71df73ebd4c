"""One table's monitor: its state, its layout, what it counts, its gaps, and what was good.

This is the core that the service and the library share. It does no I/O: the intake calls
`heard`, `faulty` and `overrun`, the watch calls the rest, and what follows for others is
*entries*, posted in the order in which they belong into the journal.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping

import structlog

from bridge.codec import Codec
from bridge.events import Alter, Column, Drop, Entry, GapReason, Schema
from bridge.monitor.counts import Counts
from bridge.monitor.gaps import Gaps
from bridge.monitor.good_marks import good_at
from bridge.monitor.levels import Levels
from bridge.monitor.mark import Mark, Post
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.progress import Progress
from bridge.monitor.schema_text import schema_from_json, schema_to_json
from bridge.monitor.states import Signal, State, step
from bridge.monitor.table_options import TableOptions, Whole
from bridge.monitor.writes import Writes
from bridge.wire.tables import all_forms

log = structlog.get_logger()


class TableMonitor:
    """The monitor of one table. All methods may be called from any thread.

    Args:
        options: what to watch and how.
        post: takes entries of the monitor's own (alter, drop, gap), in order with the rows.
        hold: a probe interval, seconds: trouble that begins so soon after another continues it.
        closable: whether somebody reads the table to close its gaps.

    Attributes:
        gaps: what may have been missed.
        levels: of the growing column, None where none is named.
        writes: what the server counts.
        identities: of the table, by the cluster that says it; "" where one has it and says none.
        seen_on: the cluster where it was last seen to exist, "" where that is not known.
        good: when a probe last proved that nothing is missed.
        born_at: since when it is this table and no namesake that was dropped; 0 where it was there
            when it was first looked for.
        hidden_deletes: rows deleted, by counts that nobody asked for.
        update_level: where the reading of updated rows goes on after a restart.
        rows_heard: told of inserted rows; None where nobody is.
    """

    def __init__(
        self, options: TableOptions, post: Post, *, hold: float = 5.0, closable: bool = False
    ) -> None:
        self.options = options
        self._closable = closable
        self.counts = Counts()
        self._post = post
        self._lock = threading.Lock()  # guards the state and its reason
        self._state = State.CONNECTING
        self._reason: str | None = "starting"
        self.changed_at = time.time()
        self._active_at = time.monotonic()
        self.schema: Schema | None = None
        column = options.growing_column
        self.levels: Levels | None = Levels(column) if column is not None else None
        self.writes = Writes()
        self.gaps = Gaps(
            options.name,
            post,
            self.counts,
            self.levels,
            self.writes,
            hold=hold,
            obstacle=self.obstacle,
            keeps=closable,
        )
        self.identities: dict[str, str] = {}
        self.seen_on = ""
        self.good = NEVER
        self.snapshot_due = options.snapshot == "initial"
        self.born_at = 0.0
        self._awaited = False  # nothing of it came yet since it was seen not to be there
        self.hidden_deletes = 0
        self.update_level = ""
        self.rows_heard: Callable[[Codec, bytes, int], None] | None = None
        self.progress: Progress | None = None
        self._told_disproved = False
        self._marking = threading.RLock()  # guards this, and the order in which marks are posted
        self._saved: dict[str, str] = {}  # marks as they were last posted

    @property
    def name(self) -> str:
        """The table's qualified name."""
        return self.options.name

    @property
    def state(self) -> State:
        """What the monitor is doing."""
        return self._state

    @property
    def reason(self) -> str | None:
        """Why it is in its state, where that is not good news."""
        return self._reason

    @property
    def over(self) -> bool:
        """Whether it has stopped for good."""
        return self._state in (State.FAILED, State.DROPPED)

    def __repr__(self) -> str:
        return f"<TableMonitor {self.name} {self._state}>"

    def signal(self, signal: Signal, reason: str | None = None) -> State:
        """Move to the state that follows, and say so where it is another one."""
        with self._lock:
            before, self._state = self._state, step(self._state, signal)
            changed = before is not self._state
            news = changed or (reason is not None and reason != self._reason)
            if changed or reason is not None:
                self._reason = reason
            if changed:
                self.changed_at = time.time()
                if self._state is not State.IDLE:  # to fall silent is no sign of life
                    self._active_at = time.monotonic()
        if news:
            level = log.warning if reason else log.info
            level("table_state", table=self.name, state=str(self._state), cause=reason)
        return self._state

    @property
    def quiet_for(self) -> float:
        """Seconds since anything arrived, or the state changed to another than idle."""
        return time.monotonic() - self._active_at

    # What the intake reports.

    def note_arrival(self) -> None:
        """Note that something came; the intake tells of what it was once its turn has come."""
        self.counts.arrived += 1
        self._active_at = time.monotonic()

    def heard(self, event: str, events: int, size: int, time_: int) -> None:
        """Count what arrived; an idle table is live again."""
        if self._awaited:
            self._first_came(time_ / 1e6)
        counts = self.counts
        counts.received[event] += events
        counts.bytes += size
        counts.last_event = time_ / 1e6
        self._active_at = time.monotonic()
        if self._state is State.IDLE:
            self.signal(Signal.HEARD)

    def monitored(self, schema: Schema) -> tuple[str, ...]:
        """Return the events that need a monitor, in a layout.

        A table that is read whole counts deletes even where nobody wants to hear of them: after
        one, what is known of its rows is in doubt.
        """
        events, catch_up = self.options.events, self.options.catch_up
        if not self._closable or not isinstance(catch_up, Whole) or "delete" in events:
            return events
        whole = "insert" in events and (schema.primary_key or not catch_up.keyed)
        return (*events, "delete") if whole else events

    def note_hidden_deletes(self, count: int) -> None:
        """Count rows deleted where deletes are no events of the table."""
        self.hidden_deletes += count
        self._mark("hidden_deletes", str(self.hidden_deletes))

    def note_rows(self, codec: Codec, payload: bytes, count: int, time_: int) -> None:
        """Take in inserted rows, from which the growing column's height is told."""
        if self.rows_heard is not None:
            self.rows_heard(codec, payload, count)
        levels = self.levels
        if levels is None:
            return
        moment = Moment(time.monotonic(), time_ / 1e6)
        try:
            if levels.note(codec, payload, count, moment):
                self.gaps.set_back(moment.wall)
        except Exception:
            # A fault of ours: the rows are stored all the same, and nothing is claimed of them.
            log.exception("level_unknown", table=self.name)
            levels.distrust("its values could not be told apart")
        if levels.disproved is not None and not self._told_disproved:
            self._told_disproved = True
            consequence = "gaps stay open, as no read from a value on proves them closed"
            cause = levels.disproved
            log.error("column_does_not_grow", table=self.name, cause=cause, consequence=consequence)
            self._mark("levels", levels.to_json(self.good))

    def faulty(self, reason: str) -> None:
        """Count a frame that does not decode; under `abort` it ends the monitor."""
        first = self.counts.decode_errors == 0
        self.counts.decode_errors += 1
        if first or self.counts.decode_errors % 1000 == 0:
            log.error(
                "undecodable_record",
                table=self.name,
                cause=reason,
                policy=self.options.on_decode_failure,
                so_far=self.counts.decode_errors,
            )
        if self.options.on_decode_failure == "abort":
            self.signal(Signal.ABORT, f"a record did not decode: {reason}")

    def overrun(self, event: str, records: int, time_: int, reason: GapReason) -> None:
        """Count what was discarded, as there was no room.

        The span lasts at least until `end_overrun`, whatever a probe says of the connection.

        Args:
            event: of which kind it was.
            records: how many there were.
            time_: when the first came, microseconds since the epoch.
            reason: of the gap.
        """
        self.counts.discarded[event] += records
        since = Moment(time.monotonic(), time_ / 1e6)
        self.gaps.overrun(since, reason, "the intake had no room")

    def obstacle(self) -> str | None:
        """Return why no read can close a gap; None where one can, as far as is known."""
        if not self._closable:
            return "nobody reads the table"
        return self.options.obstacle(self.schema)

    @property
    def reading_order(self) -> Column | None:
        """The column by which the table can be read to close a gap, if there is one."""
        return None if self.schema is None else self.options.reading_order(self.schema)

    def post(self, entry: Entry | Mark) -> None:
        """Post an entry or a mark of the monitor's own."""
        self._post(entry)

    def adopt_schema(self, schema: Schema | None, cluster: str) -> None:
        """Take a layout as the present one, or none after a drop; say what changed."""
        old = self.schema
        if schema is None:
            if old is not None:
                self.made_again(cluster)
            return
        self.schema = schema
        if old is not None and old.columns != schema.columns:
            log.warning("table_altered", table=self.name)
            self._post(Alter(self.name, cluster, time.time_ns() // 1000, old, schema))
        if old != schema:
            self._mark("schema", schema_to_json(schema))
            self._take_layout(schema)

    def _take_layout(self, schema: Schema) -> None:
        if self.levels is not None:
            self.levels.adopt(schema)
        # Values of before cannot be compared with those of now.
        self.gaps.take_layout(schema)

    def made_again(self, cluster: str) -> None:
        """Note that the table was dropped, whether or not there is another of its name now.

        Nothing of the old one counts any more. Its gaps stay open: what was missed of it before
        it went is missed.
        """
        log.warning("table_dropped", table=self.name)
        now = Moment.now()
        self.schema = None
        self._post(Drop(self.name, cluster, round(now.wall * 1e6)))
        self._mark("schema", schema_to_json(None))
        self._be_born(now.wall)
        self.identities, self.seen_on = {}, ""
        self._mark("identities", "{}")
        self.writes.forget()
        self._mark("writes", "null")
        start = None
        if self.levels is not None:
            self._told_disproved = False
            self.levels.empty(now)
            self._mark("levels", self.levels.to_json(now))
            start = self.levels.start(now)
        self.gaps.restart(start, "the table was dropped before it was read")

    def keep_update_level(self, text: str) -> None:
        """Remember where the reading of updated rows has come to."""
        self.update_level = text
        self._mark("update_level", text)

    def note_absent(self) -> None:
        """Note that there never was such a table: all of one that gets its name is new."""
        if not self.born_at:
            self._be_born(time.time(), awaited=True)

    def note_identity(self, cluster: str, identity: str, *, in_use: bool = True) -> None:
        """Note which table this is, by the word of a cluster.

        Args:
            cluster: its identity.
            identity: the table's, "" where it says none.
            in_use: whether it is the cluster on which the table is watched.
        """
        known = self.identities.get(cluster)
        if known is None or (told := all_forms(known, identity)) != known:
            self.identities = {**self.identities, cluster: identity if known is None else told}
        elif not in_use or cluster == self.seen_on:
            return
        if in_use:
            self.seen_on = cluster
        self._mark("identities", json.dumps({"seen_on": self.seen_on, "known": self.identities}))

    def was_absent(self, at: Moment) -> None:
        """Note that there was no such table at a moment: all of its rows are to come."""
        self._be_born(at.wall, awaited=True)
        if self.levels is not None:
            self.levels.empty(at)
            self._mark("levels", self.levels.to_json(at))
        self.gaps.begin("start", at, "the table was not there")

    def _first_came(self, at: float) -> None:
        # Before it was there: the clock was set back, and the journal had nothing to tell it by.
        with self._marking:
            if self._awaited:
                self._be_born(min(self.born_at, at))

    def _be_born(self, at: float, *, awaited: bool = False) -> None:
        with self._marking:
            self.born_at, self._awaited = at, awaited
            self._mark("born_at", f"{at!r} awaited" if awaited else repr(at))

    def finish_snapshot(self) -> None:
        """Note that the rows that were there already have been delivered."""
        self.snapshot_due = False
        self._mark("snapshot", "done")

    # What outlives a restart.

    def prove_good(self, at: Moment) -> None:
        """Note that nothing had been missed at a moment. Does nothing while a span goes on.

        That moment itself is stored by whoever looks after all tables (`GoodMarks`), but for the
        first one: from then on a start is not the first.
        """
        if self.gaps.going_on:
            return
        with self._marking:
            if self.good == NEVER:
                self._mark("good_at", repr(at.wall))
            self.good = at
            self._mark("writes", self.writes.settle(at))
            if self.levels is not None:
                self._mark("levels", self.levels.settle(at))

    def _mark(self, name: str, text: str | None) -> None:
        """Post a mark of the table where it says something new; None does not."""
        with self._marking:
            if text is not None and self._saved.get(name) != text:
                self._saved[name] = text
                self._post(Mark(f"{name}/{self.name}", text))

    def restore(self, marks: Mapping[str, str]) -> None:
        """Take up what an earlier run left: its layout, its gaps, and when it was last well."""

        def mark(name: str, default: str) -> str:
            return marks.get(f"{name}/{self.name}", default)

        now = Moment.now()
        self.schema = schema_from_json(mark("schema", "null"))
        born_at, _, awaited = mark("born_at", "0").partition(" ")
        self.born_at, self._awaited = float(born_at), bool(awaited)
        self.hidden_deletes = int(mark("hidden_deletes", "0"))
        self.update_level = mark("update_level", "")
        self.snapshot_due &= mark("snapshot", "") != "done"
        self.writes.from_json(mark("writes", "null"))
        saved = json.loads(mark("identities", "{}"))
        self.identities, self.seen_on = saved.get("known", {}), saved.get("seen_on", "")
        was_good_at = good_at(marks, self.name)
        if self.levels is not None:
            text = mark("levels", mark("tide", "null"))
            self.levels.from_json(text, self.schema, now, heard=was_good_at > 0)
        self.gaps.restore(mark("gaps", "[]"))
        if was_good_at:
            self.good = Moment(-math.inf, was_good_at)
            self.gaps.begin("start", self.good, "the bridge was not running")
        elif self.born_at:  # all of its rows are to come, and it was never proven that they did
            since = Moment(-math.inf, self.born_at)
            self.gaps.begin("start", since, "the table was not there when it was last looked for")
