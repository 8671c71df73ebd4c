"""`check --sample`: one event of each table as each of its sinks would get it.

Format and shape are applied as the service does; the values are made up, from the layout.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from bridge.cli.sample_rows import sample_row
from bridge.codec import compile_schema
from bridge.config import Config
from bridge.errors import BridgeError
from bridge.events import Alter, Block, Count, Drop, EventType, Gap, ReadCause, Schema
from bridge.formats.base import Output, Rows, Single
from bridge.formats.shape import PLAIN
from bridge.lines import Lines
from bridge.sinks.base import Sink
from bridge.supervisor.plan import SinkPlan, make_plan

_JOURNAL_ID, _OFFSET = "0" * 16, 1234


class Sample(NamedTuple):
    """One event, or why there can be none.

    Attributes:
        sink: the sink's id.
        table: the qualified name.
        text: what it looks like.
        found: what the format found elsewhere, None where it needs nothing.
        problem: None where all is well.
        cure: of the problem, where one is known.
        size: bytes of the event, 0 where it cannot be made.
    """

    sink: str
    table: str
    text: str = ""
    found: str | None = None
    problem: str | None = None
    cure: str = ""
    size: int = 0


def samples(config: Config, layouts: Mapping[str, Schema]) -> Iterator[Sample]:
    """Make a sample for each sink and each of its tables whose layout is known.

    Args:
        config: with patterns, perhaps.
        layouts: of tables, by qualified name.
    """
    for name, plan in make_plan(config, layouts).sinks.items():
        tables = sorted(plan.tables & layouts.keys())
        if not tables:
            continue
        sink = plan.build(name)  # no I/O, as it is not opened
        make = partial(_sample, config.kinetica.urls[0], name, plan, sink, plan.output(sink))
        for table in tables:
            try:
                yield make(table, layouts[table])
            except BridgeError as error:
                cure = error.hint or ""
                yield Sample(name, table, problem=str(error.args[0]), cure=cure)


def _sample(
    cluster: str,
    name: str,
    plan: SinkPlan,
    sink: Sink,
    output: Output,
    table: str,
    schema: Schema,
) -> Sample:
    found = output.format.check(table, schema, output.shapes.get(table, PLAIN))
    wanted = plan.settings.events or ("insert",)
    if {"insert", "read"}.isdisjoint(wanted):
        entry = _single(wanted[0], table, cluster, schema)
        lines = output.format.single(_JOURNAL_ID, _OFFSET, entry)
    else:
        cause: ReadCause | None = None if "insert" in wanted else "snapshot"
        lines = _row(output, table, cluster, schema, cause)
    place = sink.place_of(table)
    where = f"{name} ({plan.settings.type}, {plan.settings.format}): {table}"
    shown = [where if place == table else f"{where} to {place}", *_shown(lines, sink)]
    return Sample(name, table, "\n".join(shown), found, size=len(lines.event(0).value))


def _row(
    output: Output, table: str, cluster: str, schema: Schema, cause: ReadCause | None
) -> Lines:
    payload, times = sample_row(schema), ((1, _now()),)
    block = Block(table, cluster, "read" if cause else "insert", schema, payload, 1, times, cause)
    codec, shape = compile_schema(schema), output.shapes.get(table, PLAIN)
    return output.format.trial().rows(
        Rows(_JOURNAL_ID, _OFFSET, block, codec, shape, output.wants_keys, payload, 1, times)
    )


def _single(type_: EventType, table: str, cluster: str, schema: Schema) -> Single:
    now = _now()
    match type_:
        case "update" | "delete":
            return Count(table, cluster, now, type_, 1)
        case "alter":
            return Alter(table, cluster, now, schema, schema)
        case "drop":
            return Drop(table, cluster, now)
        case _:
            return Gap(table, cluster, now, "0" * 16, now - 10**6, now, "disconnected")


def _now() -> int:
    return time.time_ns() // 1000


def _shown(lines: Lines, sink: Sink) -> Iterator[str]:
    event = lines.event(0)
    if sink.keyed:
        yield f"key: {'none' if event.key is None else event.key.decode()}"
    if lines.attributes is not None:
        for attribute, value in lines.attributes.of(lines, 0, 1)[0]:
            yield f"{attribute}: {value}"
    if lines.header is not None:
        yield lines.header.decode().rstrip("\n")
    yield event.value.decode() if lines.line_feed else event.value.hex(" ")
