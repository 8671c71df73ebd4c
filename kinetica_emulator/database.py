"""The state of one cluster: schemas, types, tables, monitors, and the rows beneath.

Everything here happens under one lock, held for the length of a request, so that counts, type
ids and notifications always belong together. Notifications leave inside the lock, in the order
in which the operations were carried out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kinetica_emulator.columns import RecordType
from kinetica_emulator.errors import RequestError
from kinetica_emulator.history import History
from kinetica_emulator.monitors import MonitorSet
from kinetica_emulator.permissions import ANONYMOUS, Permissions
from kinetica_emulator.records import zigzag_long
from kinetica_emulator.storage import RowStore
from kinetica_emulator.traits import Traits

DEFAULT_SCHEMA = "ki_home"
# Letters, digits and a few signs, no dot: it parts schema and table.
_NAME = re.compile(r"[\w{}\[\]()|/#: \-]{1,200}")

Publish = Callable[[bytes, Sequence[bytes]], None]


@dataclass(slots=True)
class Table:
    """One table.

    Attributes:
        name: its qualified name.
        kind: its record type.
        history: which table it is, and what was done to it.
        descriptions: what `/show/table` calls it, nothing for a plain table.
        ttl: its time to live in minutes as text; told, not acted upon.
        comment: what it is for.
        indexes: columns with an index; told, not acted upon.
    """

    name: str
    kind: RecordType
    history: History
    descriptions: tuple[str, ...] = ()
    ttl: str = "-1"
    comment: str = ""
    indexes: list[str] = field(default_factory=list)

    @property
    def schema(self) -> str:
        """The schema it is in."""
        return self.name.partition(".")[0]


@dataclass(slots=True)
class Unpublished:
    """Changes of rows that no monitor hears of.

    Attributes:
        tables: qualified names of the tables concerned; empty for all.
        events: insert, update or delete, those concerned.
        left: how many more changes, None for any number.
    """

    tables: frozenset[str]
    events: frozenset[str]
    left: int | None

    def takes(self, table: str, event: str) -> bool:
        """Say whether a change is one of those, and count it."""
        if event not in self.events or (self.tables and table not in self.tables):
            return False
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


class Database:
    """One cluster's state.

    Args:
        publish: takes a topic and the frames of one notification; must not block.
        traits: what kind of server it is.
    """

    def __init__(self, publish: Publish, traits: Traits) -> None:
        # Guards everything below; re-entrant, as SQL statements call the native operations.
        self.lock = threading.RLock()
        self.traits = traits
        self.permissions = Permissions()
        # Who makes the request under way.
        self.user = ANONYMOUS
        self.unpublished: Unpublished | None = None
        self._last_oid = 0
        self._last_created = 0.0
        self.rows = RowStore(traits.moment)
        self.monitors = MonitorSet()
        self.types: dict[str, RecordType] = {}
        self.tables: dict[str, Table] = {}
        self.schemas: dict[str, None] = {DEFAULT_SCHEMA: None}
        self._publish = publish

    def close(self) -> None:
        """Let go of all rows."""
        with self.lock:
            self.rows.close()

    def qualify(self, name: str) -> str:
        """Return `schema.table` for a name as a client writes it.

        Raises:
            RequestError: it is no name.
        """
        schema, dot, table = name.rpartition(".")
        if not dot:
            schema = DEFAULT_SCHEMA
        if not (_NAME.fullmatch(schema) and _NAME.fullmatch(table)):
            raise RequestError(f"Invalid table name '{name}'")
        return f"{schema}.{table}"

    def find(self, name: str) -> Table | None:
        """Return the table of that name, None if there is none."""
        return self.tables.get(name) or self.tables.get(f"{DEFAULT_SCHEMA}.{name}")

    def table(self, name: str) -> Table:
        """Return the table of that name.

        Raises:
            RequestError: there is none.
        """
        table = self.find(name)
        if table is None:
            raise RequestError(f"Table '{name}' does not exist")
        return table

    def create_schema(self, name: str, *, if_missing: bool = False) -> None:
        """Make a schema.

        Raises:
            RequestError: it exists, or the name is none.
        """
        if name in self.schemas:
            if if_missing:
                return
            raise RequestError(f"Schema '{name}' already exists")
        if not _NAME.fullmatch(name):
            raise RequestError(f"Invalid schema name '{name}'")
        self.schemas[name] = None

    def drop_schema(self, name: str, *, cascade: bool, if_exists: bool = False) -> None:
        """Drop a schema, and with `cascade` what is in it.

        Raises:
            RequestError: there is none, or it is not empty.
        """
        if name not in self.schemas:
            if if_exists:
                return
            raise RequestError(f"Schema '{name}' does not exist")
        inside = self.tables_in(name)
        if inside and not cascade:
            raise RequestError(f"Schema '{name}' is not empty")
        for table in inside:
            self.drop_table(table.name)
        if name != DEFAULT_SCHEMA:
            del self.schemas[name]

    def tables_in(self, schema: str) -> list[Table]:
        """Return the tables of a schema, oldest first."""
        return [table for table in self.tables.values() if table.schema == schema]

    def add_type(self, kind: RecordType) -> RecordType:
        """Register a type; the one already known under its id, if there is one."""
        return self.types.setdefault(kind.type_id, kind)

    def type(self, type_id: str) -> RecordType:
        """Return a registered type.

        Raises:
            RequestError: there is none.
        """
        try:
            return self.types[type_id]
        except KeyError:
            raise RequestError(f"Type '{type_id}' does not exist") from None

    def create_table(self, name: str, kind: RecordType, *, if_missing: bool = False) -> Table:
        """Make a table.

        Raises:
            RequestError: it exists, its schema does not, or the name is none.
        """
        qualified = self.qualify(name)
        existing = self.tables.get(qualified)
        if existing is not None:
            if if_missing:
                return existing
            raise RequestError(f"Table '{qualified}' already exists")
        if qualified.partition(".")[0] not in self.schemas:
            raise RequestError(f"Schema '{qualified.partition('.')[0]}' does not exist")
        with self.rows.transaction():
            self.rows.create(qualified, kind)
        self.add_type(kind)
        table = self.tables[qualified] = Table(qualified, kind, self._born())
        return table

    def _born(self) -> History:
        """Begin a table's history: a number of its own, and a time after that of the last one."""
        self._last_oid += 1
        # A thousandth is what the times' texts show.
        self._last_created = max(self.traits.now(), self._last_created + 0.001)
        return History(self._last_oid, self._last_created, self.user)

    def note_read(self, table: Table) -> None:
        """Note that a table was read."""
        table.history.reads.note(self.traits.now(), self.user)

    def note_write(self, table: Table) -> None:
        """Note that rows of a table were changed."""
        table.history.writes.note(self.traits.now(), self.user)

    def note_alter(self, table: Table) -> None:
        """Note that a table was altered."""
        table.history.alters.note(self.traits.now(), self.user)

    def drop_table(self, name: str, *, if_exists: bool = False) -> None:
        """Drop a table, its rows, and, without a word to anyone, its monitors.

        Raises:
            RequestError: there is none.
        """
        table = self.find(name)
        if table is None and if_exists:
            return
        table = self.table(name)
        with self.rows.transaction():
            self.rows.drop(table.name)
        self.monitors.remove_table(table.name)
        del self.tables[table.name]

    def change_layout(
        self,
        table: Table,
        kind: RecordType,
        sources: Sequence[tuple[str, tuple[Any, ...]]],
        name: str | None = None,
    ) -> None:
        """Give a table another type, another name or both; its monitors go silently.

        Args:
            table: the table.
            kind: its new type.
            sources: for each new column an SQL expression over the old ones, with parameters.
            name: its new qualified name, None to keep it.

        Raises:
            RequestError: the name is taken, or a value does not fit its new column.
        """
        target = table.name if name is None else self.qualify(name)
        if target != table.name and target in self.tables:
            raise RequestError(f"Table '{target}' already exists")
        if target.partition(".")[0] not in self.schemas:
            raise RequestError(f"Schema '{target.partition('.')[0]}' does not exist")
        with self.rows.transaction():
            self.rows.rebuild(table.name, target, kind, sources)
        self.monitors.remove_table(table.name)
        del self.tables[table.name]
        table.name, table.kind = target, self.add_type(kind)
        self.tables[target] = table
        self.note_alter(table)

    def wrote(self, table: Table, event: str) -> bool:
        """Note that rows were changed; whether monitors are to hear of it."""
        self.note_write(table)
        if self.unpublished is not None and self.unpublished.takes(table.name, event):
            return False
        return bool(self.monitors.active(table.name, event))

    def notify_inserted(self, table: Table, frames: Sequence[bytes], first: int) -> None:
        """Publish inserted records to the table's insert monitors, each through its filter.

        Args:
            table: the table.
            frames: the records, one a frame.
            first: row id of the first one; the others follow without a hole.
        """
        for monitor in self.monitors.active(table.name, "insert"):
            chosen = frames
            if monitor.condition:
                found = self.rows.run(
                    f'SELECT _rowid_ FROM "{table.name}" WHERE _rowid_ BETWEEN ? AND ? '  # noqa: S608 (a checked name, the client's own condition)
                    f"AND ({monitor.condition}) ORDER BY _rowid_",
                    (first, first + len(frames) - 1),
                )
                chosen = [frames[row_id - first] for (row_id,) in found]
            if chosen:
                self._publish(monitor.topic, chosen)

    def notify_count(self, table: Table, event: str, count: int) -> None:
        """Note and publish how many rows an update or a delete touched, unless it touched none."""
        if count and self.wrote(table, event):
            for monitor in self.monitors.active(table.name, event):
                self._publish(monitor.topic, [zigzag_long(count)])
