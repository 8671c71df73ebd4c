"""What is known of the rows of a table that is read whole: digests on disk, one file a table.

A row is known by the digest of its key, and its values by another; where the table has no key the
whole row is the key, and only how often it is there counts. Each knows the offset in the journal
up to which it is as fresh as that (`at`): of an arrival its own, of a row that was read the place
up to which the journal was taken in before. So a counted delete, which says no more than a number,
puts in doubt exactly the rows known from before it.

A read collects what it sees (`stage`) and in the end takes the place of what was known before but
for arrivals since (`finish`). All that a step changes, and how far in the journal it reaches, is
one transaction: after a crash the rest is taken in again from there.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self

import structlog

from bridge.errors import BridgeError

log = structlog.get_logger()

# Raised with every change of the tables below: another one's file is no baseline.
_VERSION = 1
# What SQLite may hold of a baseline in memory, KiB; and of its log on disk, bytes.
_CACHE_KIB = 16 * 1024
_LOG_BYTES = 64 * 2**20
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_TABLES = """
    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE layout (id INTEGER PRIMARY KEY, columns TEXT NOT NULL UNIQUE);
    CREATE TABLE row (
        key INTEGER PRIMARY KEY,
        value INTEGER NOT NULL,
        layout INTEGER NOT NULL,  -- of the columns that `value` is the digest of
        at INTEGER NOT NULL,      -- as fresh as the journal was at this offset
        came INTEGER NOT NULL,    -- when it was last received, seconds since the epoch; 0: never
        times INTEGER NOT NULL,
        late INTEGER NOT NULL     -- how many of them are known from after the last delete by `at`
    );
    CREATE TABLE seen (
        key INTEGER NOT NULL, value INTEGER NOT NULL, at INTEGER NOT NULL, times INTEGER NOT NULL
    );"""
_PUT = """
    INSERT INTO row VALUES (?, ?, ?, ?, ?, 1, 1)
    ON CONFLICT (key) DO UPDATE SET
        value = excluded.value, layout = excluded.layout, at = excluded.at, came = excluded.came"""
_ADD = """
    INSERT INTO row VALUES (?1, 0, ?2, ?3, ?4, ?5, ?5)
    ON CONFLICT (key) DO UPDATE SET
        times = times + excluded.times,
        late = CASE WHEN at >= ?6 THEN late ELSE 0 END + excluded.late,
        at = excluded.at, came = excluded.came"""
_ATTEST = """
    INSERT INTO row VALUES (?1, 0, ?2, ?3, ?4, 1, 1)
    ON CONFLICT (key) DO UPDATE SET
        late = CASE WHEN at >= ?5 THEN max(late, 1) ELSE 1 END,
        at = excluded.at, came = excluded.came"""
_FIND = """
    SELECT key, value, layout, at, came, late, times FROM row
    WHERE key IN (SELECT value FROM json_each(?))"""
# Of a key that was seen and came since, what came since counts; the bare columns follow max().
_MERGE_KEYED = """
    INSERT INTO fresh
    SELECT key, value, layout, at, came, 1, 1 FROM (
        SELECT key, value, layout, max(at) AS at, came FROM (
            SELECT key, value, :layout AS layout, at,
                ifnull((SELECT came FROM row WHERE row.key = seen.key), 0) AS came FROM seen
            UNION ALL SELECT key, value, layout, at, came FROM row WHERE at >= :from
        ) GROUP BY key
    ) ORDER BY key"""
# Of equal rows, one that came since may be among those seen: their number is never taken too high.
_MERGE_COUNTED = """
    INSERT INTO fresh
    SELECT key, 0, :layout, max(at), max(came), sum(times), max(late) FROM (
        SELECT key, at, ifnull((SELECT came FROM row WHERE row.key = seen.key), 0) AS came,
            times, iif(at >= :deleted, times, 0) AS late FROM seen
        UNION ALL SELECT key, at, came, since, iif(at >= :deleted, since, 0) FROM (
            SELECT row.key, row.at, row.came, min(row.late, arrived.times) AS since
            FROM arrived JOIN row ON row.key = arrived.key
        )
    ) GROUP BY key ORDER BY key"""
_FORGET_LAYOUTS = """
    DELETE FROM layout WHERE id NOT IN (SELECT DISTINCT layout FROM row) AND id <> ?"""
_FRESH = """
    CREATE TABLE fresh (
        key INTEGER PRIMARY KEY, value INTEGER NOT NULL, layout INTEGER NOT NULL,
        at INTEGER NOT NULL, came INTEGER NOT NULL, times INTEGER NOT NULL, late INTEGER NOT NULL
    )"""


class BaselineUnusable(BridgeError):
    """A baseline cannot be kept: the disk is full, or fails."""


class BaselineDamaged(BaselineUnusable):
    """What is stored of a baseline is bad, by SQLite's own verdict."""


class KnownRow(NamedTuple):
    """What is known of a row; of a table without a key, of all that are equal.

    Attributes:
        value: digest of its values, of the columns of `layout`.
        at: as fresh as the journal was at this offset.
        came: when it was last received, seconds since the epoch; 0 where it was only read.
        times: how many there are for certain, as far as no delete after `at` took some.
        most: how many there would be, had no delete taken any.
    """

    value: int
    layout: int
    at: int
    came: int
    times: int
    most: int


@dataclass(slots=True)
class Facts:
    """What there is to know of a baseline beside its rows.

    Attributes:
        journal: its id.
        position: the offset up to which the journal was taken in, None where it never was.
        complete: whether all rows that were there before the table was listened to are in it.
        begun: where the read that collects began, None where none is under way.
        low: the value of the first key column that this read has reached.
        read_at: the offset that the journal was taken in up to before the last whole read began.
        read_wall: when that read ended, seconds since the epoch.
        older: gaps that began before there was a baseline, and why no read can close each.
        deleted_at: rows known from before this offset may have been deleted since.
        pruned_at: rows received before this offset may be unknown, as the journal had them no more.
        deleted: how many rows were, by counts, since the last whole read.
        updated: likewise updated.
        hidden: deletes that are not in the journal, how many there had been by `position`.
        key: the columns of the primary key: name, base, type.
    """

    journal: str = ""
    position: int | None = None
    complete: bool = False
    begun: int | None = None
    low: Any = None
    read_at: int = 0
    read_wall: float = 0.0
    older: dict[str, str] = field(default_factory=dict)
    deleted_at: int = 0
    pruned_at: int = 0
    deleted: int = 0
    updated: int = 0
    hidden: int = 0
    key: list[list[str]] | None = None


def baseline_path(folder: Path, table: str) -> Path:
    """Return the file of a table's baseline; names may hold what files' names may not."""
    return folder / f"{blake2b(table.encode(), digest_size=12).hexdigest()}.db"


class Baseline:
    """The file. A context manager, used by one thread.

    Args:
        path: of the file; a damaged one is taken away, and begun anew.
        table: the qualified name.

    Attributes:
        facts: changed by whoever changes rows, and stored with them.
    """

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._table = table
        with _translated(path):
            path.parent.mkdir(exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                log.error("baseline_damaged", table=table, cause=str(error))
                self._connection.close()
                remove(path)
                self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self.close()
        if kind is not None and issubclass(kind, BaselineDamaged):
            log.error("baseline_damaged", table=self._table, cause=str(error))
            remove(self._path)  # another try begins anew

    def __repr__(self) -> str:
        return f"<Baseline of {self._table} up to {self.facts.position}>"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _open(self) -> None:
        self._connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run(f"PRAGMA cache_size=-{_CACHE_KIB}")
        run(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        run("PRAGMA temp_store=FILE")
        if run("PRAGMA user_version").fetchone()[0] != _VERSION:
            # The transaction covers both, so a crash leaves a file without a version.
            for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                run(f"DROP TABLE {name}")
            self._connection.executescript(
                f"BEGIN; {_TABLES} PRAGMA user_version={_VERSION}; COMMIT"
            )
        said = {name: json.loads(value) for name, value in run("SELECT name, value FROM fact")}
        self.facts = Facts(
            **{known.name: said[known.name] for known in fields(Facts) if known.name in said}
        )
        self._stored = dict(said)
        self._read_layouts()

    def _read_layouts(self) -> None:
        known = self._connection.execute("SELECT columns, id FROM layout")
        self._layouts: dict[str, int] = dict(known)

    # What is asked.

    def find(self, keys: Sequence[int]) -> dict[int, KnownRow]:
        """Return what is known of rows, by the digests of their keys."""
        with _translated(self._path):
            found = self._connection.execute(_FIND, (json.dumps(sorted(keys)),))
            return {key: KnownRow(*row) for key, *row in found}

    def count(self) -> int:
        """Return how many rows are known."""
        with _translated(self._path):
            (count,) = self._connection.execute("SELECT sum(times) FROM row").fetchone()
            return int(count or 0)

    def layout(self, columns: Sequence[Sequence[str]]) -> int:
        """Return the number of a choice of columns: name, base and type of each."""
        text = json.dumps([list(column) for column in columns])
        if text not in self._layouts:
            with self._change():
                added = self._connection.execute("INSERT INTO layout (columns) VALUES (?)", (text,))
            self._layouts[text] = added.lastrowid or 0
        return self._layouts[text]

    def layouts(self) -> dict[int, list[list[str]]]:
        """Return the columns of each layout that rows may have."""
        return {number: json.loads(text) for text, number in self._layouts.items()}

    # What is changed.

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Make what is changed within one transaction, the facts included."""
        with self._change():
            yield
            now = asdict(self.facts)
            news = [(name, json.dumps(value)) for name, value in now.items()]
            if now != self._stored:
                self._connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", news)
                self._stored = dict(now)

    def put(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        """Take in rows with a key: key, value, layout, at, came."""
        self._connection.executemany(_PUT, rows)

    def add(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        """Take in rows without a key: digest, layout, at, came, and how many."""
        deleted = self.facts.deleted_at
        self._connection.executemany(_ADD, ((*row, deleted) for row in rows))

    def attest(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Know rows without a key to be there at least once: digest, layout, at, came."""
        deleted = self.facts.deleted_at
        self._connection.executemany(_ATTEST, ((*row, deleted) for row in rows))

    def forget(self) -> None:
        """Forget every row, and what a read has collected."""
        for table in ("row", "seen", "layout"):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 (names of ours)
        self._layouts = {}
        facts = self.facts
        self.facts = Facts(facts.journal, facts.position, hidden=facts.hidden, older=facts.older)

    def stage(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Collect rows of a read: key, value, at, and how many."""
        self._connection.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", rows)

    def unstage(self) -> None:
        """Let go of what was collected."""
        self._connection.execute("DELETE FROM seen")
        self.facts.begun, self.facts.low = None, None

    def finish(
        self,
        begun: int,
        layout: int,
        *,
        keyed: bool,
        without: Collection[int] = (),
        arrived: dict[int, int] | None = None,
    ) -> None:
        """Let what was collected take the place of what was known, but for what came since.

        Args:
            begun: the offset that the journal was taken in up to before the read began.
            layout: of the values that were collected.
            keyed: whether a key tells rows apart.
            without: keys that are not to be known.
            arrived: where there is no key, what came since, by digest.
        """
        run = self._connection.execute
        run(_FRESH)
        if keyed:
            run(_MERGE_KEYED, {"layout": layout, "from": begun})
        else:
            run("CREATE TEMP TABLE arrived (key INTEGER PRIMARY KEY, times INTEGER NOT NULL)")
            rows = (arrived or {}).items()
            self._connection.executemany("INSERT INTO arrived VALUES (?, ?)", rows)
            run(_MERGE_COUNTED, {"layout": layout, "deleted": self.facts.deleted_at})
            run("DROP TABLE arrived")
        self._connection.executemany("DELETE FROM fresh WHERE key = ?", ((k,) for k in without))
        run("DROP TABLE row")
        run("ALTER TABLE fresh RENAME TO row")
        self.unstage()
        run(_FORGET_LAYOUTS, (layout,))
        self._read_layouts()

    def adopt_collected(self, layout: int) -> None:
        """Know what a read has collected so far beside what was known; rows with a key."""
        self._connection.execute(
            "INSERT OR IGNORE INTO row"
            " SELECT key, value, ?, max(at), 0, 1, 1 FROM seen GROUP BY key",
            (layout,),
        )

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        with _translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled it back
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def remove(path: Path) -> None:
    """Take a baseline's files away."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        damaged = _is_damage(error)
        raise (BaselineDamaged if damaged else BaselineUnusable)(f"{path}: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise BaselineUnusable(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # not every error has one
    return code & 0xFF in _DAMAGE
