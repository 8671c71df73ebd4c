"""One connection to PostgreSQL, and what it knows of the tables it writes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar, cast

import orjson
import psycopg
import structlog
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from bridge.errors import Reject, Retry
from bridge.foreign import Cleaner
from bridge.lines import Slice
from bridge.loop import Deadline
from bridge.sinks import postgres_sql as sql
from bridge.sinks.base import NotConnected
from bridge.sinks.names import fill
from bridge.sinks.postgres_errors import text_of, verdict

LONGEST_NAME = 63  # bytes of an identifier; the server would cut a longer one
_ROWS = {"insert", "read"}
_LOST = (psycopg.OperationalError, psycopg.InterfaceError)

_SET_TIMEOUTS = SQL(
    "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)"
)
_LOOK_SECONDS = 0.5
_GRACE = 5.0  # seconds that a statement's own time-out has to arrive

_T = TypeVar("_T")

log = structlog.get_logger()


class _Patient(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is given up where no answer comes, be the peer alive or not.

    Attributes:
        patience: seconds for one answer; longer than the server's own limit, which says more.
    """

    patience = math.inf

    def wait(
        self, gen: PQGen[_T], interval: float = _LOOK_SECONDS, timeout: float | None = None
    ) -> _T:
        """Run an exchange with the server to its end."""
        most = self.patience if timeout is None else min(timeout, self.patience)
        return super().wait(self._bounded(gen, most), interval)

    def _bounded(self, gen: PQGen[_T], seconds: float) -> PQGen[_T]:
        deadline = Deadline(seconds)
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and deadline.passed:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast("_T", end.value)


class _Rows(NamedTuple):
    """What one statement writes: rows of one table with the same columns and key."""

    record: tuple[str, ...]
    key: tuple[str, ...] | None


class Session:
    """A connection that is open.

    Args:
        dsn: a connection string of libpq.
        table: template of the table that rows go to.
        upsert: whether rows take the place of those with the same key.
        event_columns: columns for members of the event, by member.
        notifications: the table for what is no row; None leaves it out.
        timeout: seconds for a connection and for a statement.

    Raises:
        NotConnected: nobody is there, or lets us in.
    """

    def __init__(
        self,
        dsn: str,
        *,
        table: str,
        upsert: bool,
        event_columns: Mapping[str, str],
        notifications: str | None,
        timeout: float,
    ) -> None:
        self._table = table
        self._upsert = upsert
        self._event_columns = event_columns
        self._notifications = notifications
        # Who waits for a lock is told so before it counts as a statement that takes too long.
        self._timeouts = (str(round(timeout * 1000)), str(round(timeout * 900)))
        given = conninfo_to_dict(dsn)
        self._clean = Cleaner([str(given.get(name) or "") for name in ("password", "sslpassword")])
        try:
            self._connection = _Patient.connect(_with_defaults(dsn, timeout), autocommit=True)
            # Not worth it for a statement a batch, and what stands between may not know them.
            self._connection.prepare_threshold = None
            self._connection.patience = timeout + _GRACE
            self._say_what_is_weak()
        except psycopg.Error as error:
            raise NotConnected(text_of(error, self._clean)) from None

    def write(self, slices: Sequence[Slice]) -> dict[str, Retry | Reject]:
        """Write events in one transaction; what is wrong with a table does not harm the others.

        Returns:
            The tables of which nothing was written, and why.

        Raises:
            NotConnected: the connection is gone; what was written is not known.
            Retry: nothing was written.
            Reject: likewise, as something was found out at the end of the transaction.
        """
        tables: dict[str, list[Slice]] = {}
        for each in slices:
            tables.setdefault(each.table, []).append(each)
        failed: dict[str, Retry | Reject] = {}
        try:
            with self._connection.transaction():
                # For this transaction alone: a pooler may give the connection to others.
                self._connection.execute(_SET_TIMEOUTS, self._timeouts)
                for table, parts in tables.items():
                    try:
                        with self._connection.transaction():
                            self._write_table(table, parts)
                    except (Retry, Reject) as error:
                        failed[table] = error
                    except psycopg.Error as error:
                        failed[table] = self._read(error)
        except psycopg.Error as error:
            raise self._read(error) from None
        return failed

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def _read(self, error: psycopg.Error) -> Retry | Reject:
        if error.sqlstate is None and not isinstance(error, _LOST):
            raise error  # the library refuses what we ask of it
        found = verdict(error, self._clean)
        if self._connection.broken or self._connection.closed:
            found = NotConnected(text_of(error, self._clean))
        if isinstance(found, NotConnected):
            raise found from None
        return found

    def _write_table(self, table: str, slices: Sequence[Slice]) -> None:
        # Kept for no longer: a column whose type has changed would take values of the old one.
        statements: dict[_Rows | None, Composed] = {}
        for kind, parts in groupby(slices, self._kind):
            if kind is None and self._notifications is None:
                continue
            if kind not in statements:
                statements[kind] = self._statement(table, kind)
            self._connection.execute(statements[kind], (_array(parts),))

    def _kind(self, part: Slice) -> _Rows | None:
        """Say what statement a slice needs: its rows are alike; None where they are no rows."""
        if part.lines.type not in _ROWS:
            return None
        record = tuple(orjson.loads(part.event(0).value)["record"])
        if not self._upsert:
            return _Rows(record, None)
        key = part.lines.key(part.start)
        if key is None:
            raise Retry(f"{part.table} has no key to upsert by: see tables[].key")
        return _Rows(record, tuple(orjson.loads(key)))

    def _statement(self, table: str, rows: _Rows | None) -> Composed:
        if rows is None:
            return self._notify_statement(self._notifications or "")
        target = target_of(self._table, table)
        name = Identifier(*target).as_string(self._connection)
        found = self._connection.execute(sql.COLUMNS, (name,)).fetchall()
        columns = {str(column): sql.Column(str(type_), bool(raw)) for column, type_, raw in found}
        if not columns:
            raise Retry(f"there is no table {name}: create it, with the columns of the record")
        wanted = [*rows.record, *self._event_columns.values(), *(rows.key or ())]
        if missing := [column for column in wanted if column not in columns]:
            names = ", ".join(dict.fromkeys(missing))
            raise Retry(f"{name} lacks {names}: add what is missing, or see exclude and rename")
        return sql.write(sql.Name(*target), columns, rows.record, self._event_columns, rows.key)

    def _notify_statement(self, table: str) -> Composed:
        target = target_of(table, "")
        name = Identifier(*target).as_string(self._connection)
        if not self._connection.execute(sql.COLUMNS, (name,)).fetchall():
            self._connection.execute(sql.create_notifications(sql.Name(*target)))
        return sql.notify(sql.Name(*target))

    def _say_what_is_weak(self) -> None:
        row = self._connection.execute(SQL("SHOW synchronous_commit")).fetchone()
        if row == ("off",):
            log.warning("postgres_promise_weakened", cause="synchronous_commit is off")


def check_dsn(dsn: str) -> None:
    """See that libpq understands a connection string.

    Raises:
        ValueError: it does not.
    """
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:  # whose text quotes it, with the password
        raise ValueError("dsn is no connection string that libpq understands") from None


def target_of(template: str, table: str) -> list[str]:
    """Return schema, if any, and name of the table that a table's rows go to.

    Raises:
        Retry: there can be no such table.
    """
    parts = [fill(part, table, str) for part in template.split(".")]
    for part in parts:
        if not part or "\0" in part or len(part.encode()) > LONGEST_NAME:
            raise Retry(
                f"{part!r} is no name of PostgreSQL's, which have 1 to {LONGEST_NAME} bytes"
            )
    return parts


def _with_defaults(dsn: str, timeout: float) -> str:
    """Add what lets a dead peer be noticed, unless the connection string has it.

    Events are UTF-8 whatever the database has: what its encoding lacks is for the server to refuse.
    """
    milliseconds = round(timeout * 1000)
    defaults = {
        "connect_timeout": str(max(2, round(timeout))),
        "tcp_user_timeout": str(milliseconds),
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "application_name": "kinetica-bridge",
        "target_session_attrs": "read-write",
    }
    given = conninfo_to_dict(dsn)
    added = {name: at for name, at in defaults.items() if name not in given}
    return make_conninfo(dsn, **added, client_encoding="utf8")


def _array(slices: Iterable[Slice]) -> str:
    """Return events as one JSON array; a line feed stands nowhere but between them."""
    data = b"".join(each.data for each in slices)
    return "[" + data[:-1].replace(b"\n", b",").decode() + "]"
