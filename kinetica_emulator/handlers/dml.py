"""Inserting, updating and deleting records through the native calls."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from typing import Any

from bridge.events import Column
from kinetica_emulator import sqltext
from kinetica_emulator.changes import InsertOptions, delete, insert, update
from kinetica_emulator.columns import parse_definition
from kinetica_emulator.database import Table
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.records import Row, decode_frames, parse_records, row_of


def insert_records(call: Call) -> Mapping[str, Any]:
    """Insert binary or JSON records."""
    request = call.request
    table = call.database.table(request["table_name"])
    call.require("table_insert", table.name)
    rows, frames, errors = _records(call, table)
    individual = call.flag("return_individual_errors")
    partial = individual or call.flag("allow_partial_batch")
    if errors and not partial:
        index = min(errors)
        raise RequestError(f"Record {index}: {errors[index]}")
    total = len(rows) + len(errors)
    result = insert(
        call.database,
        table,
        rows,
        frames,
        InsertOptions(
            update_on_existing_pk=call.flag("update_on_existing_pk"),
            ignore_existing_pk=call.flag("ignore_existing_pk"),
            truncate_strings=call.flag("truncate_strings"),
            partial=partial,
        ),
    )
    # The errors of the second step count the records that were left by the first.
    left = [index for index in range(total) if index not in errors]
    errors.update({left[index]: reason for index, reason in result.errors.items()})
    reply: dict[str, Any] = {
        "count_inserted": result.inserted,
        "count_updated": result.updated,
    }
    if call.flag("return_record_ids"):
        reply["record_ids"] = [f"{row_id:032X}" for row_id in result.row_ids]
    if errors:
        reply["info"] = {
            "bad_record_indices": ",".join(map(str, sorted(errors))),
            **{f"error_{index}": errors[index] for index in sorted(errors)},
        }
    return reply


def _records(call: Call, table: Table) -> tuple[list[Row], list[bytes] | None, dict[int, str]]:
    """Read the records of an insert: rows, their frames if they came as such, errors."""
    request = call.request
    if request["list_encoding"] == "json":
        rows, errors = parse_records(table.kind, request["list_str"])
        return rows, None, errors
    if request["list_encoding"] not in ("", "binary"):
        raise RequestError(f"Invalid list_encoding '{request['list_encoding']}'")
    frames: list[bytes] = request["list"]
    partial_schema = call.option("request_schema_str")
    if partial_schema:
        return _partial_records(table, frames, partial_schema)
    rows, errors = decode_frames(table.kind, frames)
    if errors:
        frames = [frame for index, frame in enumerate(frames) if index not in errors]
    return rows, frames, errors


def _partial_records(
    table: Table, frames: list[bytes], definition: str
) -> tuple[list[Row], None, dict[int, str]]:
    """Read records of some of the columns, as another schema has them."""
    kind = parse_definition(definition, {}, "")
    names = [column.name for column in kind.columns]
    partial_rows, errors = decode_frames(kind, frames)
    rows = [row_of(table.kind, dict(zip(names, row, strict=True))) for row in partial_rows]
    return rows, None, errors


def insert_records_random(call: Call) -> Mapping[str, Any]:
    """Insert records of random values; `options.all` may bound numbers by min and max."""
    request = call.request
    table = call.database.table(request["table_name"])
    call.require("table_insert", table.name)
    options = request["options"]
    generator = random.Random(options.get("seed", {}).get("value"))  # noqa: S311 (test data)
    rows = [
        tuple(
            _random_value(
                generator, column, {**options.get("all", {}), **options.get(column.name, {})}
            )
            for column in table.kind.columns
        )
        for _ in range(request["count"])
    ]
    result = insert(call.database, table, rows, None, InsertOptions(update_on_existing_pk=True))
    return {"table_name": request["table_name"], "count": result.inserted + result.updated}


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "boolean": (0, 1),
    "int8": (-128, 127),
    "int16": (-32_768, 32_767),
    "int": (-(2**31), 2**31 - 1),
    "timestamp": (0, 4_102_444_800_000),
    "long": (-(2**63), 2**63 - 1),
}


def _random_value(generator: random.Random, column: Column, bounds: Mapping[str, float]) -> Any:
    low, high = _BOUNDS.get(column.type, (0.0, 1.0))
    low, high = bounds.get("min", low), bounds.get("max", high)
    if column.base in ("int", "long"):
        return generator.randint(int(low), int(high))
    if column.base in ("float", "double"):
        return generator.uniform(low, high)
    name, _, arguments = column.type.partition("(")
    if column.base == "bytes":
        size = 4 * int(arguments.rstrip(")")) if name == "vector" and arguments else 8
        return bytes(size) if name == "vector" else generator.randbytes(size)
    makers: Mapping[str, Any] = {
        "date": lambda: (
            f"20{generator.randint(10, 99)}-{generator.randint(1, 12):02d}-"
            f"{generator.randint(1, 28):02d}"
        ),
        "time": lambda: f"{generator.randint(0, 23):02d}:{generator.randint(0, 59):02d}:00.000",
        "decimal": lambda: str(generator.randint(0, 9)),
        "ulong": lambda: str(generator.randint(0, 2**64 - 1)),
        "ipv4": lambda: ".".join(str(generator.randint(0, 255)) for _ in range(4)),
        "uuid": lambda: f"{generator.getrandbits(128):032x}",
        "json": lambda: f'{{"n":{generator.randint(0, 999)}}}',
        "array": lambda: "[]",
        "wkt": lambda: f"POINT ({generator.randint(-180, 180)} {generator.randint(-90, 90)})",
    }
    if name == "datetime":
        return f"{makers['date']()} {makers['time']()}"
    if name in makers:
        return makers[name]()
    size = int(name[4:]) if name.startswith("char") else 16
    return "".join(generator.choices(string.ascii_letters, k=min(size, 16)))


def update_records(call: Call) -> Mapping[str, Any]:
    """Update by expressions; an expression that matches nothing may insert a record instead."""
    request, database = call.request, call.database
    table = database.table(request["table_name"])
    call.require("table_update", table.name)
    expressions, maps = _selectors(call), request["new_values_maps"]
    if len(expressions) != len(maps):
        raise RequestError(f"{len(expressions)} expressions but {len(maps)} new_values_maps")
    if request["record_encoding"] == "json":
        rows, errors = parse_records(table.kind, request["records_to_insert_str"])
        frames = None
    else:
        frames = request["records_to_insert"]
        rows, errors = decode_frames(table.kind, frames)
    if errors:
        raise RequestError(f"Record {min(errors)}: {errors[min(errors)]}")
    updated: list[int] = []
    inserted: list[int] = []
    options = InsertOptions(
        update_on_existing_pk=call.flag("update_on_existing_pk"),
        ignore_existing_pk=call.flag("ignore_existing_pk"),
        truncate_strings=call.flag("truncate_strings"),
    )
    missed: list[int] = []
    with database.rows.transaction():
        for index, (condition, values) in enumerate(zip(expressions, maps, strict=True)):
            count = update(
                database,
                table,
                condition,
                values,
                expressions=call.flag("use_expressions_in_new_values_maps"),
                replace=options.update_on_existing_pk,
            )
            updated.append(count)
            inserted.append(0)
            if not count and index < len(rows):
                missed.append(index)
        if missed:
            chosen = [frames[index] for index in missed] if frames else None
            result = insert(database, table, [rows[index] for index in missed], chosen, options)
            for index in missed[: result.inserted]:
                inserted[index] = 1
    database.notify_count(table, "update", sum(updated))
    return {
        "count_updated": sum(updated),
        "counts_updated": updated,
        "count_inserted": sum(inserted),
        "counts_inserted": inserted,
    }


def delete_records(call: Call) -> Mapping[str, Any]:
    """Delete by expressions, by record id, or everything."""
    database = call.database
    table = database.table(call.request["table_name"])
    call.require("table_delete", table.name)
    conditions = _selectors(call)
    if call.flag("delete_all_records"):
        conditions = ["TRUE"]
    elif not conditions:
        raise RequestError("No expressions given, and delete_all_records is not true")
    with database.rows.transaction():
        counts = [delete(database, table, condition) for condition in conditions]
    database.notify_count(table, "delete", sum(counts))
    return {"count_deleted": sum(counts), "counts_deleted": counts}


def _selectors(call: Call) -> list[str]:
    """Return the SQL conditions of an update or delete, one per expression."""
    record_id = call.option("record_id")
    if record_id:
        try:
            return [f"_rowid_ = {int(record_id, 16)}"]
        except ValueError:
            raise RequestError(f"Invalid record_id '{record_id}'") from None
    conditions = [
        sqltext.expression(text) if text.strip() else "TRUE" for text in call.request["expressions"]
    ]
    everywhere = call.option("global_expression")
    if everywhere:
        common = sqltext.expression(everywhere)
        conditions = [f"({common}) AND ({condition})" for condition in conditions]
    return conditions
