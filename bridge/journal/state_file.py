"""Writing `state.db`: the one connection, its transactions, and rows made of lanes.

A commit is not followed by an fsync, unless it must be durable. The write-ahead log has its
blocks on the disk from the start: cursors must be able to move, and old segments to go, on a
full disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.journal.database import (
    PAGE_SIZE,
    connect_writer,
    is_damage,
    is_full,
    is_passing,
    roll_back,
)
from bridge.journal.lane import LaneState
from bridge.journal.layout import FORMAT, Spans, newer_format, state_path, sync_folder
from bridge.journal.letters import (
    LetterBook,
    Pruned,
    Retried,
    delete_letters,
    find_letters,
    note_retried,
    oldest_letters,
    pruned_text,
    put_letters,
    put_rows,
)
from bridge.journal.queries import QUERIES, STATE_SCHEMA
from bridge.journal.records import DeadLetter, LetterFilter
from bridge.journal.rows import checksum, with_checksums
from bridge.journal.state_reader import load_lanes, load_meta, load_paused, load_sinks
from bridge.journal.troubles import translated
from bridge.journal.upgrade import put_facts, upgrade_state

# Pages of its write-ahead log: enough to move every cursor before the log starts anew.
_RESERVED_PAGES = 256
# So many pages are given back to the disk in one go.
_SHRINK_PAGES = 2048

Key = tuple[str, str]
"""A lane: its sink and its table."""


class StateFile:
    """An open `state.db`; its owner guards it with a lock.

    Attributes:
        format: version of its layout, before it was upgraded.
        meta: facts about the journal, as of opening.
        sinks: whether each is registered, as of opening.
        lanes: as of opening.
        paused: what rests and since when, as of opening.
        letters: what there is of dead letters; kept up.
    """

    def __init__(self, journal: Path) -> None:
        """Open a file that exists; one of an older format is upgraded.

        Raises:
            JournalUnavailable: written by a newer version.
            ValueError: what it holds is not what was written.
            sqlite3.Error: it cannot be read.
        """
        self._journal = journal
        self._suspect = False
        self._connection = self._connect()
        try:
            self.meta = self._checked_meta()
            self.format = int(self.meta["format"])
            self._require_format()
            self._reserve()
            if self.format < FORMAT:
                upgrade_state(self._connection, self.format)
                self._let_it_shrink()
                self.meta = load_meta(self._connection)
            self.sinks = load_sinks(self._connection)
            self.lanes = load_lanes(self._connection)
            self.paused = load_paused(self._connection)
            self.letters = LetterBook.load(self._connection, self.meta)
        except BaseException:
            self._connection.close()
            raise
        # What waits of each lane, by what the file holds.
        self._written = {key: lane.waiting for key, lane in self.lanes.items()}

    def __repr__(self) -> str:
        return f"<StateFile of {self._journal}>"

    def _connect(self) -> sqlite3.Connection:
        return connect_writer(state_path(self._journal), synchronous="NORMAL")

    def _require_format(self) -> None:
        if self.format > FORMAT:
            raise newer_format(self._journal, self.format)

    def _checked_meta(self) -> dict[str, str]:
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise ValueError(str(found))
        meta = load_meta(self._connection)
        if not meta.keys() >= {"journal_id", "format"}:
            raise ValueError("facts about the journal are missing")
        return meta

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

    def _let_it_shrink(self) -> None:
        """Rewrite a file of an older format so that it can give disk back, if there is room."""
        try:
            self._connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._connection.execute("VACUUM")
        except sqlite3.Error as error:
            if is_damage(error):
                raise

    def close(self) -> None:
        """Move all into the database and let go of it; may be called twice."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._connection.close()

    def write(
        self,
        lanes: Mapping[Key, LaneState],
        sinks: Mapping[str, bool],
        letters: Sequence[DeadLetter],
        now: int,
        facts: Mapping[str, str],
        *,
        durable: bool,
        again: bool = False,
    ) -> None:
        """Write lanes, sinks, dead letters and facts in one transaction.

        Args:
            lanes: by sink and table.
            sinks: whether they are registered.
            letters: events set aside.
            now: when that was, microseconds since the epoch.
            facts: about the journal.
            durable: whether it is forced to disk, with all that was written before.
            again: whether some of `letters` may be there already, and are renewed then.

        Raises:
            JournalFull, JournalDiskError: nothing was written.
            JournalError: the file is damaged; nothing was written.
        """
        with self._transaction(durable=durable) as connection:
            for sink, registered in sinks.items():
                row = sink, int(registered)
                connection.execute(QUERIES["put_sink"], (*row, checksum(*row)))
            self._write_lanes(lanes)
            if again:
                letters = [letter for letter in letters if not self._renew(letter)]
            if letters:
                put_letters(connection, letters, now)
            put_facts(connection, facts)
        self._written |= {key: lane.waiting for key, lane in lanes.items()}
        self.letters.add(letters, now)

    def pause(self, sink: str, table: str, since: int | None) -> None:
        """Write down, durably, that something rests, or with None that it goes on; as `write`."""
        with self._transaction(durable=True) as connection:
            if since is None:
                connection.execute(QUERIES["delete_paused"], (sink, table))
            else:
                connection.execute(QUERIES["put_paused"], (sink, table, since))

    def drop_letters(self, which: LetterFilter, limit: int) -> list[tuple[int, str, str, int]]:
        """Delete the first dead letters that a filter lets through; raises as `write`.

        Returns:
            Number, sink, table and size of each.
        """
        with self._transaction() as connection:
            gone = find_letters(connection, which, limit)
            delete_letters(connection, [number for number, *_ in gone])
        self.letters.remove(gone)
        return gone

    def note_retried(self, retried: Sequence[Retried]) -> None:
        """Write down why replays failed; raises as `write`."""
        with self._transaction() as connection:
            note_retried(connection, retried)

    def prune_letters(self, key: Key, excess: int, before: int) -> dict[Pruned, int]:
        """Delete some of a lane's oldest dead letters: too old ones, and until there is room.

        Args:
            key: the lane.
            excess: bytes by which there are too many; not above 0 if there are not.
            before: one set aside earlier than this time is too old.

        Returns:
            How many went, by reason. Raises as `write`.
        """
        gone: list[tuple[int, str, str, int]] = []
        counts: dict[Pruned, int] = {}
        with self._transaction() as connection:
            found = oldest_letters(connection, key)
            for number, set_aside, size in found:
                old = set_aside < before
                if not old and excess <= 0:
                    self.letters.note_oldest(key, set_aside)
                    break
                reason: Pruned = "age" if old else "size"
                counts[reason] = counts.get(reason, 0) + 1
                gone.append((number, *key, size))
                excess -= size
            delete_letters(connection, [number for number, *_ in gone])
            pruned = self.letters.with_pruned(key[0], counts)
            put_facts(connection, {"letters_pruned": pruned_text(pruned)})
        self.letters.pruned = pruned
        self.letters.remove(gone)
        if not found:
            self.letters.sums.pop(key, None)
        return counts

    def shrink(self) -> bool:
        """Give some of the disk back that nothing needs; return whether there may be more.

        Raises as `write`.
        """
        self._reopen()
        try:
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            spare = min(int(free) - 2 * _RESERVED_PAGES, _SHRINK_PAGES)
            if spare <= 0 or self._connection.execute("PRAGMA auto_vacuum").fetchone() != (2,):
                return False
            # `execute` would take one step of it, and give one page back.
            self._connection.executescript(f"PRAGMA incremental_vacuum({spare})")
        except sqlite3.Error as error:
            self._suspect = not is_passing(error)
            raise translated(error, self._journal, state_path(self._journal)) from error
        return spare == _SHRINK_PAGES

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        self._reopen()
        connection = self._connection
        try:
            if durable:
                # One synced commit makes all before it durable too; readers cannot hold it up.
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            roll_back(connection)
            if isinstance(error, sqlite3.Error):
                self._suspect = not is_passing(error)
                raise translated(error, self._journal, state_path(self._journal)) from error
            raise
        finally:
            if durable:
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA synchronous=NORMAL")

    def _renew(self, letter: DeadLetter) -> bool:
        """Renew the dead letter that there is of an event and sink; False where there is none."""
        place = letter.sink, letter.offset
        found = self._connection.execute(QUERIES["find_dead_letter"], place).fetchone()
        if found is None:
            return False
        news = Retried(found[0], letter.reason, letter.answer, letter.attempts)
        note_retried(self._connection, [news])
        return True

    def _reopen(self) -> None:
        """Take a new connection after a failure that may have spoilt the old one."""
        if not self._suspect:
            return
        try:
            self._connection.close()
            self._connection = self._connect()
        except sqlite3.Error as error:
            raise translated(error, self._journal, state_path(self._journal)) from error
        self._suspect = False

    def _write_lanes(self, lanes: Mapping[Key, LaneState]) -> None:
        connection = self._connection
        for key, lane in lanes.items():
            before = frozenset(self._written.get(key, ()))
            if before or lane.waiting:
                after = frozenset(lane.waiting)
                gone = [(*key, offset) for offset in before - after]
                connection.executemany(QUERIES["delete_waiting"], gone)
                new = [(*key, offset) for offset in after - before]
                connection.executemany(QUERIES["put_waiting"], new)
        connection.executemany(QUERIES["put_lane"], map(_lane_row, lanes.items()))


def _lane_row(item: tuple[Key, LaneState]) -> tuple[object, ...]:
    """Return a lane as the row of `state.db`, its checksum last."""
    (sink, table), lane = item
    row = (
        sink,
        table,
        lane.cursor,
        lane.base,
        lane.delivered,
        lane.dead_lettered,
        lane.discarded,
        int(lane.active),
        len(lane.waiting),
        sum(lane.waiting),
        None if lane.events is None else ",".join(sorted(lane.events)),
    )
    return (*row, checksum(*row))


def create_state(
    journal: Path,
    journal_id: str,
    *,
    rebuilt_at: int,
    thinned: Spans,
    letters: Iterable[tuple[object, ...]],
) -> None:
    """Create `state.db` where there is none.

    Args:
        journal: the journal's folder.
        journal_id: 16 hex digits.
        rebuilt_at: the head where an older file was lost, else 0.
        thinned: the spans in which only what waits is kept.
        letters: rows of dead letters saved out of an older file.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    meta = {
        "journal_id": journal_id,
        "format": str(FORMAT),
        "thinned": json.dumps(thinned),
        "rebuilt_at": str(rebuilt_at),
    }
    connection = connect_writer(state_path(journal), synchronous="FULL")
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN;{STATE_SCHEMA}")
        connection.executemany(QUERIES["put_meta"], with_checksums(meta))
        put_rows(connection, list(letters))
        connection.execute("COMMIT")
    finally:
        connection.close()
    sync_folder(journal)
