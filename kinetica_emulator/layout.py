"""Changes of a table's columns: a draft of the new layout, altered step by step, applied once.

Every column of the draft knows where its values come from, as an SQL expression over the old
columns, so that any number of alterations costs one rebuild of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.events import Column
from kinetica_emulator import sqltext
from kinetica_emulator.columns import RecordType, base_of, build_type
from kinetica_emulator.database import Database, Table
from kinetica_emulator.errors import RequestError
from kinetica_emulator.sqltext import quote
from kinetica_emulator.values import from_json

_ZERO: dict[str, Any] = {
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "bytes": b"",
}
_KEYS = ("primary_key", "shard_key", "soft_primary_key")


@dataclass(slots=True)
class _Draft:
    """One column of the new layout, and where its values come from."""

    name: str
    base: str
    nullable: bool
    marks: list[str]
    source: str
    parameters: tuple[Any, ...] = ()
    convert: bool = False


class LayoutDraft:
    """A table's next layout.

    Args:
        database: whose lock the caller holds.
        table: the table to change.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._columns = [
            _Draft(
                column.name,
                column.base,
                column.nullable,
                list(table.kind.properties.get(column.name, ())),
                quote(column.name),
            )
            for column in table.kind.columns
        ]

    def add(
        self,
        name: str,
        type_name: str,
        marks: Sequence[str],
        *,
        default: str | None = None,
        expression: str = "",
        position: int | None = None,
    ) -> None:
        """Add a column.

        Args:
            name: its name.
            type_name: its type, base or declared.
            marks: its properties.
            default: value of the rows there are, null or zero without it.
            expression: SQL over the old columns to compute that value instead.
            position: where among the columns, None for the end.

        Raises:
            RequestError: the name is taken, the type unknown, the value does not fit.
        """
        if any(draft.name.lower() == name.lower() for draft in self._columns):
            raise RequestError(f"Column '{name}' already exists")
        base, declared = base_of(type_name)
        marks = [*declared, *marks]
        nullable = "nullable" in marks
        column = Column(name, base, type_name if declared else base, nullable)
        if expression:
            draft = _Draft(
                name, base, nullable, marks, sqltext.expression(expression), convert=True
            )
        else:
            value = _ZERO[base] if default is None and not nullable else from_json(column, default)
            draft = _Draft(name, base, nullable, marks, "?", (value,))
        self._columns.insert(len(self._columns) if position is None else position, draft)

    def change(
        self, name: str, type_name: str | None, marks: Sequence[str], rename: str = ""
    ) -> None:
        """Give a column another type, other properties or another name; its values are converted.

        Args:
            name: which.
            type_name: its new type, None to keep the base type.
            marks: all of its new properties.
            rename: its new name, empty to keep it.

        Raises:
            RequestError: no such column, part of a key, an unknown type.
        """
        draft = self._find(name)
        base, declared = base_of(type_name) if type_name else (draft.base, [])
        marks = [*declared, *marks]
        if any(key in draft.marks for key in _KEYS) and (base, set(marks)) != (
            draft.base,
            set(draft.marks),
        ):
            raise RequestError(f"Column '{name}' is part of a key and cannot be changed")
        draft.base, draft.marks, draft.convert = base, marks, True
        draft.nullable = "nullable" in marks
        if rename:
            self.rename(name, rename)

    def rename(self, name: str, new_name: str) -> None:
        """Rename a column.

        Raises:
            RequestError: no such column, or the name is taken.
        """
        draft = self._find(name)
        if any(other is not draft and other.name == new_name for other in self._columns):
            raise RequestError(f"Column '{new_name}' already exists")
        draft.name = new_name

    def set_default(self, name: str, default: str | None) -> None:
        """Set or take away a column's default, without touching its values.

        Raises:
            RequestError: no such column.
        """
        draft = self._find(name)
        draft.marks = [mark for mark in draft.marks if not mark.startswith("default(")]
        if default is not None:
            draft.marks.append(f"default({default})")

    def delete(self, name: str) -> None:
        """Take a column away.

        Raises:
            RequestError: no such column, part of a key, or the only one.
        """
        draft = self._find(name)
        if any(key in draft.marks for key in _KEYS):
            raise RequestError(f"Column '{name}' is part of a key and cannot be deleted")
        if len(self._columns) == 1:
            raise RequestError("The only column of a table cannot be deleted")
        self._columns.remove(draft)

    def position(self, name: str) -> int:
        """Return where a column stands, from 0.

        Raises:
            RequestError: no such column.
        """
        return self._columns.index(self._find(name))

    def apply(self, name: str | None = None) -> RecordType:
        """Rebuild the table in the new layout, under another name if one is given.

        Raises:
            RequestError: the layout is not one, or a value does not fit its new column.
        """
        kind = build_type(
            [(draft.name, draft.base, draft.nullable) for draft in self._columns],
            {draft.name: draft.marks for draft in self._columns},
            self._table.kind.label,
        )
        sources = []
        for draft, column in zip(self._columns, kind.columns, strict=True):
            source, parameters = draft.source, draft.parameters
            if draft.convert:
                if not draft.nullable:
                    # What was null is zero or empty where null is no longer allowed.
                    source = f"ifnull({source}, ?)"
                    parameters = (*parameters, _ZERO[draft.base])
                source = f"{self._database.rows.converter(column)}({source})"
            sources.append((source, parameters))
        self._database.change_layout(self._table, kind, sources, name)
        return kind

    def _find(self, name: str) -> _Draft:
        for draft in self._columns:
            if draft.name == name:
                return draft
        raise RequestError(f"Column '{name}' does not exist")
