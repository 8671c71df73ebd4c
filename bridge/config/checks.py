"""What only several settings together can tell is wrong.

The checks look at plain data, not at models, so that they also run, each as far as it can,
on a file that has other problems; those are reported in one go. A value of the wrong type is
passed over here: its model has spoken.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.config.format_checks import check_format
from bridge.config.names import is_pattern, qualified
from bridge.config.nearest import no_sink
from bridge.config.problems import KeyPath, Problems
from bridge.config.shaping_checks import check_key, check_place, check_sink
from bridge.sinks.file_paths import NOTIFICATIONS, expand, may_be_final


def check(data: Mapping[str, Any], unset: frozenset[KeyPath], problems: Problems) -> None:
    """Report what is wrong between settings.

    Args:
        data: the configuration, secrets put in.
        unset: paths of settings whose value is an empty substitution.
        problems: where to report.
    """
    _credentials(data.get("kinetica"), unset, problems)
    tables = list(_tables(data))
    sinks = data.get("sinks")
    sinks = sinks if isinstance(sinks, Mapping) else {}
    _one_table_each(tables, problems)
    for path, table in tables:
        _except_needs_pattern(path, table, problems)
        _filter_needs_insert(path, table, problems)
        _update_rows_need_update(path, table, problems)
        _known_sinks(path, table, sinks, problems)
        check_place(path, table, unset, problems)
        check_key(path, table, problems)
    _one_writer_per_file(tables, sinks, problems)
    for name, settings in sinks.items():
        if isinstance(settings, Mapping):
            routed = [(path, table) for path, table in tables if _goes_to(table, name)]
            check_format(name, settings, routed, problems)
            check_place(("sinks", name), settings, unset, problems)
            check_sink(name, settings, routed, problems)


def _tables(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    tables = data.get("tables")
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, Mapping):
            yield ("tables", index), table


def _credentials(kinetica: Any, unset: frozenset[KeyPath], problems: Problems) -> None:
    if not isinstance(kinetica, Mapping):
        return
    given = {key for key in ("username", "password", "token") if kinetica.get(key)}
    if {"token", "username"} <= given:
        problems.add(("kinetica", "token"), "a token and a username are given; keep one")
    # `username: ${USER:-}` beside a password file is how one file serves with and without.
    elif "password" in given and not {"username", "token"} & {
        *kinetica,
        *(path[1] for path in unset if path[:1] == ("kinetica",) and len(path) == 2),
    }:
        problems.add(("kinetica", "password"), "needs kinetica.username beside it")


def _one_table_each(tables: list[tuple[KeyPath, Mapping[str, Any]]], problems: Problems) -> None:
    first: dict[str, KeyPath] = {}
    for path, table in tables:
        name = table.get("name")
        if not isinstance(name, str):
            continue
        full = qualified(name)
        if full in first:
            line = problems.line((*first[full], "name"))
            problems.add((*path, "name"), f"{name} is given twice, first on line {line}")
        first.setdefault(full, path)


def _except_needs_pattern(path: KeyPath, table: Mapping[str, Any], problems: Problems) -> None:
    name, excepted = table.get("name"), table.get("except")
    if not isinstance(name, str) or not isinstance(excepted, list) or not excepted:
        return
    if not is_pattern(name):
        problems.add(
            (*path, "except"), f"belongs to a pattern such as ki_home.*, and {name} is none"
        )
        return
    schema = name.rpartition(".")[0]
    for index, one in enumerate(excepted):
        of = one.rpartition(".")[0] if isinstance(one, str) else ""
        if of and of != schema:
            problems.add(
                (*path, "except", index),
                f"{name} means no table of {of}; leave it out",
            )


def _filter_needs_insert(path: KeyPath, table: Mapping[str, Any], problems: Problems) -> None:
    events = table.get("events")
    if table.get("filter") and isinstance(events, list) and events and "insert" not in events:
        problems.add(
            (*path, "filter"), "inserts alone obey a filter, and events has no insert; drop one"
        )


def _update_rows_need_update(path: KeyPath, table: Mapping[str, Any], problems: Problems) -> None:
    events = table.get("events")
    if table.get("update_rows") and isinstance(events, list) and events and "update" not in events:
        problems.add(
            (*path, "update_rows"),
            "rows are read after counted updates, and events has no update; add it, or drop this",
        )


def _known_sinks(
    path: KeyPath, table: Mapping[str, Any], sinks: Mapping[str, Any], problems: Problems
) -> None:
    named = table.get("sinks")
    for index, name in enumerate(named if isinstance(named, list) else ()):
        if isinstance(name, str) and name not in sinks:
            problems.add((*path, "sinks", index), no_sink(name, sinks))


def _one_writer_per_file(
    tables: list[tuple[KeyPath, Mapping[str, Any]]], sinks: Mapping[str, Any], problems: Problems
) -> None:
    owner: dict[str, str] = {}
    closing = {
        sink: os.path.normpath(settings["path"])
        for sink, settings in sinks.items()
        if _closes_files(settings)
    }
    for sink, settings in sinks.items():
        if not isinstance(settings, Mapping) or settings.get("type") != "file":
            continue
        path = settings.get("path")
        if not isinstance(path, str):
            continue
        files = {
            os.path.normpath(path),
            *(
                _file_of(path, table)
                for _, table in tables
                if _goes_to(table, sink) and not is_pattern(str(table.get("name")))
            ),
        }
        for file in sorted(files | {file + NOTIFICATIONS for file in files}):
            finals = (s for s, of in closing.items() if s != sink and may_be_final(file, of))
            other = next(finals, owner.setdefault(file, sink))
            if other != sink:
                problems.add(
                    ("sinks", sink, "path"),
                    f"the sink {other} writes {file} too; each needs its own",
                )
                break  # its notifications would be named too


def _closes_files(settings: Any) -> bool:
    return (
        isinstance(settings, Mapping)
        and settings.get("type") == "file"
        and isinstance(settings.get("path"), str)
        and bool(settings.get("rotate") or settings.get("format", "json") != "json")
    )


def _goes_to(table: Mapping[str, Any], sink: str) -> bool:
    named = table.get("sinks")
    return sink in named if isinstance(named, list) else True


def _file_of(path: str, table: Mapping[str, Any]) -> str:
    return os.path.normpath(expand(path, str(table.get("name"))))
