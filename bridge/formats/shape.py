"""How a table's rows look: which columns, under which names, masked or not, and the key's.

A shape has stages, the table's and then the sink's: each picks among what the one before has
left, under the names that it gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from bridge.codec import Codec, Form, Mask, Member, Values
from bridge.errors import Retry
from bridge.events import Schema

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of shaping; names are those that the step before has left.

    Attributes:
        columns: only these, in this order; None for all.
        exclude: those left out.
        rename: old names and new ones.
        mask: columns whose values must not be seen, and what stands in their place.
        mask_key: of the hashes.
    """

    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    mask: tuple[tuple[str, Mask], ...] = ()
    mask_key: bytes = field(default=b"", repr=False)

    def __bool__(self) -> bool:
        return bool(self.columns is not None or self.exclude or self.rename or self.mask)

    def unknown(self, members: Sequence[Member]) -> list[str]:
        """Return the columns that it speaks of and that are none of these."""
        named = {*(self.columns or ()), *self.exclude, *dict(self.rename), *dict(self.mask)}
        return sorted(named - {member.name for member in members})

    def apply(self, members: Sequence[Member]) -> list[Member]:
        """Return what is left of members, as this stage names and masks them."""
        given = {member.name: member for member in members}
        names = given if self.columns is None else [n for n in self.columns if n in given]
        rename, mask = dict(self.rename), dict(self.mask)
        return [
            self._member(given[name], rename.get(name, name), mask.get(name))
            for name in names
            if name not in self.exclude
        ]

    def _member(self, member: Member, name: str, mask: Mask | None) -> Member:
        if mask is None or member.mask is not None:
            return member._replace(name=name)
        return member._replace(name=name, mask=mask, mask_key=self.mask_key)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table's rows are written.

    Attributes:
        key: columns of the message key, by their names in the table; None for the primary key.
        values: `declared` or `kinetica`.
        stages: what becomes of the columns, in turn; none leaves them as they are.
    """

    key: tuple[str, ...] | None = None
    values: Values = "declared"
    stages: tuple[Stage, ...] = ()


PLAIN = Shape()


@lru_cache(maxsize=4096)
def members_of(schema: Schema, shape: Shape) -> tuple[Member, ...]:
    """Return the members of a row's object.

    Columns that are named and that the layout does not have are passed over, which is logged: a
    mask may have missed the column that it was meant for.

    Raises:
        Retry: two would have one name, after any of the stages.
    """
    members = [Member(column.name, column.name) for column in schema.columns]
    for stage in shape.stages:
        if unknown := stage.unknown(members):
            given = [member.name for member in members]
            log.warning("shaped_columns_missing", columns=unknown, given=given)
        members = stage.apply(members)
        names = [member.name for member in members]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Retry(f"two columns would be named {', '.join(twice)}; see rename")
    return tuple(members)


@lru_cache(maxsize=4096)
def key_of(table: str, schema: Schema, shape: Shape) -> tuple[Member, ...]:
    """Return the members of a row's key; none where it has no key.

    Columns that the layout does not have are left out, which is logged.

    Raises:
        Retry: shaping leaves out a column of the key.
    """
    present = {column.name for column in schema.columns}
    wanted = schema.primary_key if shape.key is None else shape.key
    key = [name for name in wanted if name in present]
    if lost := sorted(set(shape.key or ()).difference(key)):
        log.warning("key_columns_missing", table=table, columns=lost, key=key)
    shaped = {member.column: member for member in members_of(schema, shape)}
    if gone := [name for name in key if name not in shaped]:
        names = ", ".join(gone)
        raise Retry(
            f"the key has {names}, which shaping leaves out; keep what it has, or give the table a "
            "key of other columns"
        )
    return tuple(shaped[name] for name in key)


def form_of(codec: Codec, table: str, shape: Shape, *, keyed: bool) -> Form:
    """Return what writes a table's rows as JSON objects, and their keys where they are wanted.

    Raises:
        Retry: the shape does not fit the layout.
    """
    members = members_of(codec.schema, shape) if shape.stages else None
    key = key_of(table, codec.schema, shape) if keyed else ()
    return codec.form(values=shape.values, columns=members, key=key)
