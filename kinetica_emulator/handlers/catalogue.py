"""Schemas, types and tables: what exists, making it, dropping it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kinetica_emulator.columns import parse_definition
from kinetica_emulator.database import Table
from kinetica_emulator.errors import RequestError, unknown_option
from kinetica_emulator.handlers.call import Call


def has_table(call: Call) -> Mapping[str, Any]:
    """Say whether a table exists."""
    name = call.request["table_name"]
    return {"table_name": name, "table_exists": call.database.find(name) is not None}


def has_schema(call: Call) -> Mapping[str, Any]:
    """Say whether a schema exists."""
    name = call.request["schema_name"]
    return {"schema_name": name, "schema_exists": name in call.database.schemas}


def has_type(call: Call) -> Mapping[str, Any]:
    """Say whether a type exists."""
    type_id = call.request["type_id"]
    return {"type_id": type_id, "type_exists": type_id in call.database.types}


def create_schema(call: Call) -> Mapping[str, Any]:
    """Make a schema."""
    name = call.request["schema_name"]
    call.database.create_schema(name, if_missing=call.flag("no_error_if_exists"))
    return {"schema_name": name}


def drop_schema(call: Call) -> Mapping[str, Any]:
    """Drop a schema."""
    name = call.request["schema_name"]
    call.database.drop_schema(
        name, cascade=call.flag("cascade"), if_exists=call.flag("no_error_if_not_exists")
    )
    return {"schema_name": name}


def create_type(call: Call) -> Mapping[str, Any]:
    """Register a type."""
    request = call.request
    kind = parse_definition(request["type_definition"], request["properties"], request["label"])
    kind = call.database.add_type(kind)
    return {
        "type_id": kind.type_id,
        "type_definition": kind.type_schema,
        "label": request["label"],
        "properties": kind.properties,
    }


def create_table(call: Call) -> Mapping[str, Any]:
    """Make a table of a registered type."""
    name, type_id = call.request["table_name"], call.request["type_id"]
    collection = call.option("collection_name")
    if call.flag("is_collection"):
        call.database.create_schema(name, if_missing=call.flag("no_error_if_exists"))
        return {"table_name": name, "is_collection": True}
    table = call.database.create_table(
        f"{collection}.{name}" if collection and "." not in name else name,
        call.database.type(type_id),
        if_missing=call.flag("no_error_if_exists"),
    )
    if call.flag("is_replicated"):
        table.descriptions = ("REPLICATED",)
    table.ttl = call.option("ttl", table.ttl)
    return {
        "table_name": name,
        "type_id": table.kind.type_id,
        "info": {"qualified_table_name": table.name},
    }


def clear_table(call: Call) -> Mapping[str, Any]:
    """Drop a table."""
    name = call.request["table_name"]
    call.database.drop_table(name, if_exists=call.flag("no_error_if_not_exists"))
    return {"table_name": name}


def clear_tables(call: Call) -> Mapping[str, Any]:
    """Drop several tables."""
    names = call.request["table_names"]
    if not call.flag("no_error_if_not_exists"):
        for name in names:
            call.database.table(name)
    for name in names:
        call.database.drop_table(name, if_exists=True)
    return {"tables": dict.fromkeys(names, "dropped")}


def show_schema(call: Call) -> Mapping[str, Any]:
    """Describe one schema, or all."""
    name, database = call.request["schema_name"], call.database
    if name in ("", "*"):
        names = list(database.schemas)
    elif name in database.schemas:
        names = [name]
    elif call.flag("no_error_if_not_exists"):
        names = []
    else:
        raise RequestError(f"Schema '{name}' does not exist")
    return {
        "schema_name": name,
        "schema_names": names,
        "schema_tables": [[table.name for table in database.tables_in(each)] for each in names],
        "additional_info": [{} for _ in names],
    }


def show_types(call: Call) -> Mapping[str, Any]:
    """Describe types by id, by label, or all."""
    type_id, label = call.request["type_id"], call.request["label"]
    kinds = [
        kind
        for kind in call.database.types.values()
        if type_id in ("", kind.type_id) and label in ("", kind.label)
    ]
    if not kinds and (type_id or label):
        raise RequestError(f"Type '{type_id or label}' does not exist")
    return {
        "type_ids": [kind.type_id for kind in kinds],
        "type_schemas": [kind.type_schema for kind in kinds],
        "labels": [kind.label for kind in kinds],
        "properties": [kind.properties for kind in kinds],
    }


def show_tables_bytype(call: Call) -> Mapping[str, Any]:
    """Name the tables of a type."""
    type_id, label = call.request["type_id"], call.request["label"]
    return {
        "table_names": [
            table.name
            for table in call.database.tables.values()
            if type_id in ("", table.kind.type_id) and label in ("", table.kind.label)
        ]
    }


def show_table(call: Call) -> Mapping[str, Any]:
    """Describe a table, the tables of a schema, the schema itself, or every table."""
    name, database = call.request["table_name"], call.database
    if database.traits.access_data == "refused" and "get_access_data" in call.request["options"]:
        raise unknown_option("get_access_data")
    table = database.find(name)
    if table is not None:
        return _described(call, name, [table])
    if name in database.schemas:
        if call.flag("show_children", default=True):
            return _described(call, name, database.tables_in(name))
        return _described_schema(name)
    if name in ("", "*"):
        return _described(call, name, list(database.tables.values()))
    if call.flag("no_error_if_not_exists"):
        return {"table_name": name}
    raise RequestError(f"Table '{name}' does not exist")


def _described(call: Call, name: str, tables: Sequence[Table]) -> Mapping[str, Any]:
    reply: dict[str, Any] = {
        "table_name": name,
        "table_names": [table.name for table in tables],
        "table_descriptions": [list(table.descriptions) for table in tables],
        "type_ids": [table.kind.type_id for table in tables],
        "type_schemas": [table.kind.type_schema for table in tables],
        "type_labels": [table.kind.label for table in tables],
        "properties": [table.kind.properties for table in tables],
        "additional_info": [{} for _ in tables],
    }
    if not call.flag("skip_additional_info"):
        reply["additional_info"] = [_additional(call, table) for table in tables]
    if call.flag("get_sizes") or call.flag("get_cached_sizes"):
        sizes = [call.database.rows.count(table.name) for table in tables]
        reply |= {
            "sizes": sizes,
            "full_sizes": sizes,
            "join_sizes": [float(size) for size in sizes],
            "total_size": sum(sizes),
            "total_full_size": sum(sizes),
        }
    return reply


def _additional(call: Call, table: Table) -> dict[str, str]:
    info = {
        "schema_name": table.schema,
        "collection_names": table.schema,
        "table_ttl": table.ttl,
        "remaining_table_ttl": table.ttl,
        "request_avro_type": "create_table",
        "global_access_mode": "read_write",
        "attribute_indexes": ";".join(table.indexes),
        "comments": table.comment,
    }
    if table.kind.primary_key:
        info["primary_key_type"] = "memory"
    monitors = call.database.monitors.described(table.name)
    if monitors:
        info["table_monitor"] = monitors
    if call.flag("get_access_data") and call.database.traits.access_data == "told":
        info |= table.history.access_data()
    if call.flag("get_column_info"):
        info["column_info"] = json.dumps({column.name: {} for column in table.kind.columns})
    return info


def _described_schema(name: str) -> Mapping[str, Any]:
    return {
        "table_name": name,
        "table_names": [name],
        "table_descriptions": [["SCHEMA"]],
        "type_ids": [""],
        "type_schemas": [""],
        "type_labels": [""],
        "properties": [{}],
        "additional_info": [{}],
    }
