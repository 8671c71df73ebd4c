"""What `check` finds out about tables: are they there, with the columns that settings name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from bridge.cli.check_finding import Finding, fine, odd, said, wrong
from bridge.cli.check_rights import Rights
from bridge.cli.listing import counted
from bridge.config import Config, Table
from bridge.config.models import CatchUp
from bridge.errors import BridgeError
from bridge.events import Column, Schema
from bridge.types import type_of
from bridge.wire.calls import Cluster, TableInfo, qualified

# Columns of these types are in no order that tells old from new.
_UNORDERED = frozenset({"array", "boolean", "bytes", "json", "vector", "wkt"})
# Names that may be meant: at most so many, at least so alike.
_NEAR, _ALIKE = 3, 0.7


def tables(
    config: Config, cluster: Cluster | None, layouts: dict[str, Schema]
) -> Iterator[Finding]:
    """Look at each entry's tables; put the layouts of those that are found into `layouts`.

    Args:
        config: with patterns, perhaps.
        cluster: to be asked; None where none is well.
        layouts: to be filled, by qualified name.
    """
    if cluster is None:
        yield wrong("tables", "no cluster to ask", "mend the clusters first")
        return
    rights = Rights(cluster, config)
    for entry in config.tables:
        what = f"pattern {entry.name}" if entry.is_pattern else f"table {qualified(entry.name)}"
        try:
            if entry.is_pattern:
                found = _meant(entry, config, cluster)
                yield from _pattern(what, entry, found, cluster, config)
            else:
                found = _named(entry, cluster)
                yield from _table(what, entry, found, cluster, config)
        except BridgeError as error:
            yield wrong(what, said(error), error.hint or "")
            continue
        refused = False
        for info in found:
            if info.schema is None:
                continue
            layouts[info.name] = info.schema
            yield from _columns(entry, info.name, info.schema)
            # What is refused of one table of a pattern most likely is of all: it is said once.
            if not refused:
                lacking = list(rights.findings(entry, info.name, info.schema))
                refused = entry.is_pattern and any(each.failed for each in lacking)
                yield from lacking


def _named(entry: Table, cluster: Cluster) -> list[TableInfo]:
    info = cluster.table(qualified(entry.name))
    return [] if info is None else [info]


def _meant(entry: Table, config: Config, cluster: Cluster) -> list[TableInfo]:
    listed = cluster.tables(entry.name.rpartition(".")[0], config.kinetica.timeout)
    return [info for name, info in listed.items() if config.entry(name) is entry]


def _table(
    what: str, entry: Table, found: list[TableInfo], cluster: Cluster, config: Config
) -> Iterator[Finding]:
    if not found:
        name = qualified(entry.name)
        yield wrong(what, f"does not exist on {cluster.url}", _names_like(name, cluster, config))
        return
    (info,) = found
    if info.schema is None:
        yield wrong(what, info.trouble or "its layout is not understood", _LAYOUT)
    elif problem := _lacking(entry, info.schema):
        yield wrong(what, *problem)
    else:
        yield fine(what, _described(info.schema))


_LAYOUT = "take the table out, and report its layout (/show/table) as a bug of kinetica-bridge"


def _pattern(
    what: str, entry: Table, found: list[TableInfo], cluster: Cluster, config: Config
) -> Iterator[Finding]:
    problems = []
    cures = dict[str, None]()
    for info in found:
        problem = (
            (info.trouble or "has no layout", _LAYOUT)
            if info.schema is None
            else _lacking(entry, info.schema)
        )
        if problem:
            problems.append(f"{info.name} {problem[0]}")
            cures[problem[1]] = None
    if problems:
        yield wrong(what, "; ".join(problems), "; ".join(filter(None, cures)))
    elif not found:
        schema = entry.name.rpartition(".")[0]
        there = cluster.names(schema, config.kinetica.timeout)
        yield odd(
            what,
            "means no table at present; those that come are picked up",
            f"mend the pattern if that is not meant: {schema} has {_some(there)}",
        )
    else:
        yield fine(what, f"means {counted(len(found), 'table')} at present")


def _names_like(name: str, cluster: Cluster, config: Config) -> str:
    """Say which name may be meant."""
    schema = name.rpartition(".")[0]
    try:
        there = cluster.names(schema, config.kinetica.timeout)
    except BridgeError as error:
        return f"mend the schema in tables[].name: {said(error)}"
    bare = {one.rpartition(".")[2].lower(): one for one in there}
    near = difflib.get_close_matches(name.rpartition(".")[2].lower(), bare, _NEAR, _ALIKE)
    meant = [bare[one] for one in near]
    if meant:
        return f"did you mean {' or '.join(meant)}? mend tables[].name, or create the table"
    return f"mend tables[].name, or create the table; {schema} has {_some(there)}"


def _some(names: Iterable[str]) -> str:
    known = sorted(names)
    rest = len(known) - 10
    shown = ", ".join(known[:10]) or "no table"
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def _lacking(entry: Table, schema: Schema) -> tuple[str, str] | None:
    """Say which columns an entry names that a table has not, and which may be meant."""
    names = [column.name for column in schema.columns]
    missing = sorted(entry.columns_named - set(names))
    if not missing:
        return None
    near = {name: difflib.get_close_matches(name, names, 1) for name in missing}
    meant = " and ".join(match[0] for match in near.values() if match)
    question = f"did you mean {meant}? " if meant else ""
    settings = ", ".join(dict.fromkeys(s for s, name in _naming(entry) if name in missing))
    cure = f"{question}mend {settings}; the table has {', '.join(names[:20])}"
    return f"has no column {', '.join(missing)}", cure


def _naming(entry: Table) -> Iterator[tuple[str, str]]:
    for name in entry.key or ():
        yield "key", name
    yield from _growing(entry)


def _growing(entry: Table) -> Iterator[tuple[str, str]]:
    """Yield the settings that name a column by whose order rows are read."""
    if isinstance(entry.catch_up, CatchUp) and entry.catch_up.column is not None:
        yield "catch_up.column", entry.catch_up.column
    if entry.update_rows is not None:
        yield "update_rows.column", entry.update_rows.column


def _columns(entry: Table, name: str, schema: Schema) -> Iterator[Finding]:
    """Look whether columns can do what is expected of them."""
    by_name = {column.name: column for column in schema.columns}
    for setting, column_name in _growing(entry):
        column = by_name.get(column_name)
        if column is None:
            continue
        what = f"{setting} of table {name}"
        fitting = ", ".join(c.name for c in schema.columns if _ordered(c) and not c.nullable)
        other = f"name another one: {fitting or 'none fits'}"
        if not _ordered(column):
            yield wrong(
                what,
                f"column {column_name} is {column.type}, whose values have no order",
                f"{other}; or {_without(setting)}",
            )
        elif column.nullable:
            yield odd(
                what,
                f"column {column_name} may be null, and a row with a null there is never read",
                f"make it NOT NULL, or {other}",
            )


def _without(setting: str) -> str:
    return "take update_rows out" if setting.startswith("update") else "catch_up: {whole_table: N}"


def _ordered(column: Column) -> bool:
    return type_of(column).family not in _UNORDERED


def _described(schema: Schema) -> str:
    key = f"key {', '.join(schema.primary_key)}" if schema.primary_key else "no primary key"
    return f"{counted(len(schema.columns), 'column')}, {key}"
