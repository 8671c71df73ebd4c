"""Whether tables have what is asked of their columns, and what is left of each for each sink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from bridge.cli.finding import Finding
from bridge.codec import Member
from bridge.config import Config, Table
from bridge.errors import Retry
from bridge.events import Schema
from bridge.formats.making import format_class
from bridge.formats.shape import Shape, Stage, key_of, members_of
from bridge.sinks.base import SinkSettings
from bridge.sinks.registry import find
from bridge.supervisor.plan import make_plan, table_shapes
from bridge.wire.calls import qualified


def shaping_findings(config: Config, schemas: Mapping[str, Schema]) -> Iterator[Finding]:
    """Hold the shaping of a configuration against the tables that there are.

    Args:
        config: the configuration.
        schemas: the layouts of the tables that it means, by qualified name; those that are not
            known are passed over.
    """
    for entry in config.tables:
        yield from _of_entry(entry, config, schemas)
    own = table_shapes(config, schemas)
    for name, sink in make_plan(config, schemas).sinks.items():
        known = {table: shape for table, shape in sink.shapes.items() if table in schemas}
        if known and known.keys() == sink.shapes.keys():
            left, out = set[str](), set[str]()
            for table in known:
                members = _members(schemas[table], own[table])
                left |= {member.name for member in members}
                out |= {column.name for column in schemas[table].columns}.difference(
                    member.column for member in members
                )
            lacks = "none of its tables leaves a column"
            problem = _lacking(sink.settings.stage, left, lacks, out)
            if problem is not None:
                yield Finding(f"shaping of sink {name}", "", problem)
        for table, shape in known.items():
            if shape.stages:
                keyed = _wants_keys(sink.settings)
                yield _of_rows(table, schemas[table], shape, name, keyed=keyed)


def _of_entry(entry: Table, config: Config, schemas: Mapping[str, Schema]) -> Iterator[Finding]:
    if entry.is_pattern:
        meant = [schema for name, schema in schemas.items() if config.entry(name) is entry]
        what, lacks = f"shaping of pattern {entry.name}", "no table that it means has a column"
    else:
        schema = schemas.get(qualified(entry.name))
        meant = [] if schema is None else [schema]
        what, lacks = f"shaping of table {qualified(entry.name)}", "the table has no column"
    columns = {column.name for schema in meant for column in schema.columns}
    problem = _lacking(entry.stage, columns, lacks) if meant else None
    if problem is not None:
        yield Finding(what, "", problem)


def _members(schema: Schema, shape: Shape) -> Sequence[Member]:
    try:
        return members_of(schema, shape)
    except Retry:  # said of the rows
        return ()


def _lacking(
    stage: Stage, names: set[str], lacks: str, out: AbstractSet[str] = frozenset()
) -> str | None:
    """Say which of the names that a stage has are not there.

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
    gone = [
        f"{lacks} {name}, which {setting} has"
        for setting, given in asked.items()
        for name in sorted(given)
        if name not in names
    ]
    return "; ".join(gone) or None


def _wants_keys(settings: SinkSettings) -> bool:
    return find(settings.type).keyed or format_class(settings.format).keyed


def _of_rows(table: str, schema: Schema, shape: Shape, sink: str, *, keyed: bool) -> Finding:
    what = f"rows of {table} for {sink}"
    try:
        members = members_of(schema, shape)
        key = key_of(table, schema, shape) if keyed else ()
    except Retry as error:
        return Finding(what, "", str(error))
    found = _shown(members) or "no columns"
    return Finding(what, f"{found}; key {_shown(key) or 'none'}" if keyed else found)


def _shown(members: Sequence[Member]) -> str:
    return ", ".join(
        member.name if member.mask is None else f"{member.name} ({member.mask})"
        for member in members
    )
