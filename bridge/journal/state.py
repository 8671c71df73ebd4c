"""Writing `state.db`: where every sink stands and what became of its events.

Cursors and counts are held in memory, so the numbers shown never wait for the disk. They are
written through, or a little later together with others where the caller says that this will
do. A commit is not followed by an fsync (`synchronous=NORMAL`): after a power cut a
cursor may stand a little further back, with the counts of that moment, and its events come
again. Only before segments are deleted is everything forced to disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import JournalError, JournalFull
from bridge.journal.database import PAGE_SIZE, connect_writer, is_damage, is_full, roll_back
from bridge.journal.layout import FORMAT, state_path, sync_folder
from bridge.journal.queries import QUERIES, STATE_SCHEMA
from bridge.journal.records import Account, DeadLetter, Settled
from bridge.journal.rows import checksum, with_checksums
from bridge.journal.state_reader import load_cursors, load_meta, load_tallies
from bridge.journal.tally import Boundary, Tally, settle

# Pages of its write-ahead log: enough to move every cursor before the log starts anew.
_RESERVED_PAGES = 256


@dataclass(frozen=True, slots=True)
class SinkState:
    """Where one sink stands."""

    cursor: int
    registered: bool = True
    tallies: Mapping[str, Tally] = field(default_factory=dict)


class State:
    """The one connection that writes `state.db`; its owner guards it with a lock.

    Attributes:
        journal_id: 16 hex digits.
        format: version of the layout on disk.
        oldest: all before this offset was pruned.
    """

    def __init__(self, journal: Path) -> None:
        """Open a file that exists.

        Raises:
            ValueError: what it holds is not what was written.
            sqlite3.Error: it cannot be read.
        """
        self._path = state_path(journal)
        self._connection = connect_writer(self._path, synchronous="NORMAL")
        try:
            meta = self._checked_meta()
            self._reserve()
            tallies = load_tallies(self._connection)
            self._sinks = {
                sink: SinkState(cursor, registered, tallies.get(sink, {}))
                for sink, (cursor, registered) in load_cursors(self._connection).items()
            }
        except BaseException:
            self._connection.close()
            raise
        self._written = dict(self._sinks)  # what the file holds
        self.journal_id = meta["journal_id"]
        self.format = int(meta["format"])
        self.oldest = int(meta["oldest"])
        self._rebuilt_at = int(meta.get("rebuilt_at", "0"))

    def _reserve(self) -> None:
        """Give the write-ahead log its blocks on the disk, if the disk has them."""
        connection = self._connection
        connection.execute(f"PRAGMA wal_autocheckpoint={_RESERVED_PAGES * 3 // 4}")
        try:
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            connection.execute(QUERIES["fill_reserve"], (_RESERVED_PAGES * PAGE_SIZE,))
        except sqlite3.Error as error:
            if not is_full(error):
                raise
        connection.execute(QUERIES["empty_reserve"])
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def _checked_meta(self) -> dict[str, str]:
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise ValueError(str(found))
        meta = load_meta(self._connection)
        if not meta.keys() >= {"journal_id", "format", "oldest"}:
            raise ValueError("facts about the journal are missing")
        return meta

    def __repr__(self) -> str:
        return f"<State of journal {self.journal_id}, {len(self._sinks)} sinks>"

    @classmethod
    def create(cls, journal: Path, journal_id: str, *, rebuilt_at: int = 0) -> State:
        """Create the file; `rebuilt_at` is the head where an older one was lost.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        path = state_path(journal)
        meta = {
            "journal_id": journal_id,
            "format": str(FORMAT),
            "oldest": "0",
            "rebuilt_at": str(rebuilt_at),
        }
        connection = connect_writer(path, synchronous="FULL")
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(f"BEGIN;{STATE_SCHEMA}")
            connection.executemany(QUERIES["put_meta"], with_checksums(meta))
            connection.execute("COMMIT")
        finally:
            connection.close()
        sync_folder(journal)
        return cls(journal)

    def close(self) -> None:
        """Move all into the file and let go of it; may be called twice."""
        with suppress(sqlite3.Error, JournalError):
            self.write()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._connection.close()

    def sinks(self) -> list[str]:
        """Return the names of the registered sinks."""
        return sorted(sink for sink, state in self._sinks.items() if state.registered)

    def cursor(self, sink: str) -> int:
        """Return where a registered sink stands.

        Raises:
            KeyError: no such sink is registered.
        """
        state = self._sinks[sink]
        if not state.registered:
            raise KeyError(sink)
        return state.cursor

    def furthest(self) -> int:
        """Return the largest cursor of all, 0 where there is none."""
        return max((state.cursor for state in self._sinks.values()), default=0)

    def settled_totals(self) -> dict[str, int]:
        """Return the least total that each table must have had for what was settled."""
        totals: dict[str, int] = {}
        for state in self._sinks.values():
            for table, tally in state.tallies.items():
                totals[table] = max(totals.get(table, 0), tally.base + tally.settled)
        return totals

    def acknowledged(self, head: int) -> int:
        """Return the offset before which every registered sink has settled all."""
        cursors = (state.cursor for state in self._sinks.values() if state.registered)
        return min(cursors, default=head)

    def accounts(self, totals: Mapping[str, int]) -> list[Account]:
        """Return the counts of all registered sinks against the totals at the head."""
        return [
            tally.account(sink, table, totals)
            for sink in self.sinks()
            for table, tally in sorted(self._sinks[sink].tallies.items())
        ]

    def discarded(self) -> int:
        """Return how many events were discarded, for all sinks together."""
        return sum(
            tally.discarded for state in self._sinks.values() for tally in state.tallies.values()
        )

    def register(
        self,
        sink: str,
        tables: Collection[str],
        *,
        oldest: int,
        head: Boundary,
        totals_at: Callable[[int], Mapping[str, int]],
    ) -> int:
        """Create or find a sink's cursor and set which tables count for it.

        Args:
            sink: its name.
            tables: those routed to it.
            oldest: the first offset still stored.
            head: where a new sink starts, with the totals there.
            totals_at: gives the totals at an offset that is stored.

        Returns:
            The cursor.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        known = self._sinks.get(sink)
        cursor = head.offset
        if known is not None and known.registered:
            cursor = known.cursor
        elif known is None and oldest < self._rebuilt_at:
            # Its cursor may be among those lost: duplicates rather than loss.
            cursor = oldest
        tallies = dict(known.tallies) if known is not None else {}
        starting = [table for table in tables if table not in tallies or not tallies[table].active]
        totals = head.totals if cursor >= head.offset or not starting else totals_at(cursor)
        for table in starting:
            total, tally = totals.get(table, 0), tallies.get(table)
            tallies[table] = Tally(cursor, total) if tally is None else tally.resume(cursor, total)
        for table, tally in tallies.items():
            if tally.active and table not in tables:
                tallies[table] = tally.stop(head.offset, head.totals.get(table, 0))
        self._commit({sink: SinkState(cursor, registered=True, tallies=tallies)})
        return cursor

    def unregister(self, sink: str, head: Boundary) -> None:
        """Discard what is pending for a sink, and let its cursor keep nothing any more.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        known = self._sinks.get(sink)
        if known is None or not known.registered:
            return
        tallies = {
            table: tally.stop(head.offset, head.totals.get(table, 0)) if tally.active else tally
            for table, tally in known.tallies.items()
        }
        self._commit({sink: SinkState(known.cursor, registered=False, tallies=tallies)})

    def advance(
        self,
        sink: str,
        to: int,
        settled: Sequence[Settled],
        dead_letters: Sequence[DeadLetter],
        *,
        boundary: Boundary | None,
        now: int,
        later: bool = False,
    ) -> dict[str, int]:
        """Move a cursor, count what became of the events, and set some aside, all in one.

        Args:
            sink: a registered sink.
            to: its new cursor; one below the present cursor changes nothing.
            settled: runs of events, in any order.
            dead_letters: events set aside.
            boundary: the last between the present cursor and `to` at which totals are known.
            now: microseconds since the epoch.
            later: whether it need not be in the file before the next `write`; dead letters
                must.

        Returns:
            Events per table that no run settled and that were discarded at the boundary.

        Raises:
            KeyError: no such sink is registered.
            JournalError: it could not be written; nothing changed.
        """
        cursor = self.cursor(sink)
        if to < cursor:
            return {}
        runs: dict[str, list[Settled]] = {}
        for run in settled:
            runs.setdefault(run.table, []).append(run)
        tallies = dict(self._sinks[sink].tallies)
        lost: dict[str, int] = {}
        for table in runs if boundary is None else tallies:
            tally = tallies.get(table)
            if tally is None or not tally.active:
                continue
            given = runs.get(table, [])
            tallies[table], missing = settle(tally, given, cursor, to, table, boundary)
            if missing > 0:
                lost[table] = missing
        kept = [letter for letter in dead_letters if cursor <= letter.offset < to]
        moved = SinkState(to, registered=True, tallies=tallies)
        if later and not kept:
            self._sinks[sink] = moved
        else:
            self._commit({sink: moved}, kept, now=now)
        return lost

    def write(self) -> None:
        """Write what was left for later.

        Raises:
            JournalError: it could not be written; it is still left.
        """
        if any(state is not self._written.get(sink) for sink, state in self._sinks.items()):
            self._commit({})

    def prune_to(self, boundary: Boundary) -> dict[str, dict[str, int]]:
        """Note that all before a boundary goes, and force the whole state to disk.

        Returns:
            Events discarded by sink and table, for sinks whose cursor stood before it.

        Raises:
            JournalError: it could not be written; nothing changed, nothing may be deleted.
        """
        changed: dict[str, SinkState] = {}
        discarded: dict[str, dict[str, int]] = {}
        for sink, state in self._sinks.items():
            if not state.registered or state.cursor >= boundary.offset:
                continue
            tallies = dict(state.tallies)
            for table, tally in state.tallies.items():
                if not tally.active:
                    continue
                tallies[table], dropped = settle(
                    tally, [], state.cursor, boundary.offset, table, boundary
                )
                if dropped > 0:
                    discarded.setdefault(sink, {})[table] = dropped
            changed[sink] = SinkState(boundary.offset, registered=True, tallies=tallies)
        self._commit(changed, oldest=boundary.offset, durable=True)
        self.oldest = boundary.offset
        return discarded

    def add_dead_letters(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Store dead letters saved out of a damaged file.

        Raises:
            sqlite3.Error: they could not be written.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(QUERIES["put_dead_letter"], rows)
        self._connection.execute("COMMIT")

    def _commit(
        self,
        changed: dict[str, SinkState],
        dead_letters: Sequence[DeadLetter] = (),
        *,
        now: int = 0,
        oldest: int | None = None,
        durable: bool = False,
    ) -> None:
        connection = self._connection
        try:
            if durable:
                # One synced commit makes all before it durable too; readers cannot hold it up.
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            after = self._sinks | changed
            for sink, state in after.items():
                if state is not self._written.get(sink):
                    self._write(sink, state)
            if dead_letters:
                rows = [_letter_row(letter, now) for letter in dead_letters]
                connection.executemany(QUERIES["put_dead_letter"], rows)
            if oldest is not None:
                facts = with_checksums({"oldest": str(oldest)})
                connection.executemany(QUERIES["put_meta"], facts)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(connection)
            raise self._failed(error) from error
        except BaseException:
            roll_back(connection)
            raise
        finally:
            if durable:
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA synchronous=NORMAL")
        self._sinks = after
        self._written = dict(after)

    def _write(self, sink: str, state: SinkState) -> None:
        row = (sink, state.cursor, int(state.registered))
        self._connection.execute(QUERIES["put_cursor"], (*row, checksum(*row)))
        before = self._written.get(sink)
        self._connection.executemany(
            QUERIES["put_account"],
            [
                (
                    sink,
                    table,
                    tally.since,
                    tally.base,
                    tally.delivered,
                    tally.dead_lettered,
                    tally.discarded,
                    int(tally.active),
                )
                for table, tally in state.tallies.items()
                if before is None or before.tallies.get(table) is not tally
            ],
        )

    def _failed(self, error: sqlite3.Error) -> JournalError:
        if is_full(error):
            return JournalFull(
                f"{self._path}: the disk is full", hint="free space on the disk of journal.path"
            )
        hint = "restart the bridge: it rebuilds the file" if is_damage(error) else None
        return JournalError(f"{self._path}: cannot be written: {error}", hint=hint)


def _letter_row(letter: DeadLetter, now: int) -> tuple[object, ...]:
    return (
        letter.sink,
        letter.table,
        letter.offset,
        letter.id,
        letter.time,
        now,
        letter.reason,
        letter.value,
        letter.raw,
    )
