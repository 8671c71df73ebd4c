"""Whether a sink can carry the format that is asked of it, and what belongs to each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.config.problems import KeyPath, Problems, dotted
from bridge.formats.making import FORMAT_NAMES, format_class, formats_of
from bridge.formats.settings import FormatName, Shaping
from bridge.sinks.registry import SinkNotFound, find


def check_format(
    sink: str,
    settings: Mapping[str, Any],
    tables: Sequence[tuple[KeyPath, Mapping[str, Any]]],
    problems: Problems,
) -> None:
    """Report what is wrong with a sink's format.

    Args:
        sink: its id.
        settings: of the sink, as plain data.
        tables: those that are routed to it, as plain data, with their paths.
        problems: where to report.
    """
    path: KeyPath = ("sinks", sink)
    name = settings.get("format", "json")
    if name not in FORMAT_NAMES:
        return  # its model has spoken
    _carried(path, settings.get("type"), name, problems)
    if settings.get("schemas") is True and name != "debezium":
        problems.add(
            (*path, "schemas"), f"belongs to format: debezium, and this is {name}; leave it out"
        )
    registry = settings.get("schema_registry")
    if registry is not None and name != "avro":
        problems.add(
            (*path, "schema_registry"),
            f"belongs to format: avro, and this is {name}; leave it out",
        )
    if registry is None and name == "avro":
        problems.add(
            (*path, "format"),
            "avro needs to know where its schemas are registered; add schema_registry: {url: …}",
        )
    if name == "raw":
        _left_as_it_is(path, [(path, settings), *tables], problems)


def _carried(path: KeyPath, type_name: Any, name: FormatName, problems: Problems) -> None:
    if not isinstance(type_name, str):
        return
    try:
        carries = find(type_name).carries
    except SinkNotFound:
        return
    if format_class(name).needs <= carries:
        return
    article = "an" if type_name[0] in "aeiou" else "a"
    *others, last = formats_of(carries)
    possible = f"{', '.join(others)} or {last}" if others else last
    problems.add(
        (*path, "format"), f"{article} {type_name} cannot carry {name}; it takes {possible}"
    )


def _left_as_it_is(
    path: KeyPath, places: Sequence[tuple[KeyPath, Mapping[str, Any]]], problems: Problems
) -> None:
    for place, settings in places:
        shaping = [key for key in Shaping.model_fields if settings.get(key)]
        if shaping:
            problems.add(
                (*path, "format"),
                f"raw is the record as received, so {dotted((*place, shaping[0]))} cannot be "
                "obeyed; choose another format, or send the table to other sinks",
            )
            return
