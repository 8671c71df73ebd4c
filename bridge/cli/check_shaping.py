"""Whether tables have the columns that their shaping, and that of their sinks, names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from bridge.codec import Member
from bridge.config import Config, Table
from bridge.errors import Retry
from bridge.events import Schema
from bridge.formats.shape import Shape, Stage, members_of
from bridge.supervisor.plan import make_plan, table_shapes
from bridge.wire.calls import qualified


def misnamed(config: Config, layouts: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    """Yield where names stand that no column has, and which they are.

    Args:
        config: with patterns, perhaps.
        layouts: of tables, by qualified name; nothing is said of others.
    """
    for entry in config.tables:
        yield from _of_entry(entry, config, layouts)
    own = table_shapes(config, layouts)
    for name, sink in make_plan(config, layouts).sinks.items():
        if not sink.tables or not sink.tables <= layouts.keys():
            continue  # one that is not known may have them
        left, out = set[str](), set[str]()
        for table in sink.tables:
            members = _members(layouts[table], own[table])
            left |= {member.name for member in members}
            out |= {column.name for column in layouts[table].columns}.difference(
                member.column for member in members
            )
        lacks = "none of its tables leaves a column"
        if problem := _lacking(sink.settings.stage, left, lacks, out):
            yield f"shaping of sink {name}", problem


def _of_entry(
    entry: Table, config: Config, layouts: Mapping[str, Schema]
) -> Iterator[tuple[str, str]]:
    if entry.is_pattern:
        meant = [schema for name, schema in layouts.items() if config.entry(name) is entry]
        what, lacks = f"shaping of pattern {entry.name}", "no table that it means has a column"
    else:
        name = qualified(entry.name)
        meant = [layouts[name]] if name in layouts else []
        what, lacks = f"shaping of table {name}", "the table has no column"
    columns = {column.name for schema in meant for column in schema.columns}
    if meant and (problem := _lacking(entry.stage, columns, lacks)):
        yield what, problem


def _members(schema: Schema, shape: Shape) -> Sequence[Member]:
    try:
        return members_of(schema, shape)
    except Retry:  # a sample of the table says it
        return ()


def _lacking(stage: Stage, names: set[str], lacks: str, out: AbstractSet[str] = frozenset()) -> str:
    """Say which of the names that a stage has are not there; nothing where all are.

    Args:
        stage: with names.
        names: those that are there.
        lacks: what to say of one that is not.
        out: columns that are left out already, which may be left out or masked once more.
    """
    asked: dict[str, Iterable[str]] = {
        "columns": stage.columns or (),
        "exclude": set(stage.exclude) - out,
        "rename": [old for old, _ in stage.rename],
        "mask": [name for name, _ in stage.mask if name not in out],
    }
    return "; ".join(
        f"{lacks} {name}, which {setting} has"
        for setting, given in asked.items()
        for name in sorted(given)
        if name not in names
    )
