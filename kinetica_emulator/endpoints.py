"""The calls the emulator answers: request and reply records, option keys, replication class.

One line per field list, in the order of encoding, in a shorthand: `s` string, `b` bytes,
`i` int, `l` long, `d` double, `?` boolean, `S` string or null, `[x]` array of x, `{x}` map of
string to x. The lines are parsed once, at import, into fastavro schemas.
Source: protocol, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import fastavro

_PRIMITIVES: Mapping[str, tuple[Any, Any]] = {
    "s": ("string", ""),
    "b": ("bytes", b""),
    "i": ("int", 0),
    "l": ("long", 0),
    "d": ("double", 0.0),
    "?": ("boolean", False),
    "S": (["string", "null"], None),
}


class Kind(Enum):
    """How a ring treats a call: what it does to the other clusters."""

    READ = "read"
    DML = "dml"
    DDL = "ddl"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call.

    Attributes:
        path: `/show/table`.
        kind: whether and how a ring repeats it on the other clusters.
        request, reply: fastavro schemas of the two records.
        reply_name: the reply's record name, `show_table_response`.
        request_defaults, reply_defaults: a value for every field.
        options: the option keys it accepts, None for any.
    """

    path: str
    kind: Kind
    request: Any
    reply: Any
    reply_name: str
    request_defaults: Mapping[str, Any]
    reply_defaults: Mapping[str, Any]
    options: frozenset[str] | None


def parse_fields(text: str) -> list[tuple[str, Any, Any]]:
    """Read a shorthand list as (name, Avro type, default) triples.

    >>> parse_fields("table_name:s, sizes:[l]")
    [('table_name', 'string', ''), ('sizes', {'type': 'array', 'items': 'long'}, [])]
    """
    fields = []
    for part in text.split(","):
        name, _, code = part.strip().partition(":")
        fields.append((name, *_parse_type(code)))
    return fields


def _parse_type(code: str) -> tuple[Any, Any]:
    if code in _PRIMITIVES:
        return _PRIMITIVES[code]
    inner, _ = _parse_type(code[1:-1])
    if code.startswith("["):
        return {"type": "array", "items": inner}, []
    return {"type": "map", "values": inner}, {}


def _record(name: str, fields: list[tuple[str, Any, Any]]) -> Any:
    return fastavro.parse_schema(
        {
            "type": "record",
            "name": name,
            "fields": [{"name": field, "type": type_} for field, type_, _ in fields],
        }
    )


# Kinetica writes some names apart that it writes together in the path.
_APART = (("tablemonitor", "table_monitor"), (r"/by(column|type)$", r"/by_\1"))


def _record_base(path: str) -> str:
    for together, apart in _APART:
        path = re.sub(together, apart, path)
    return path.strip("/").replace("/", "_")


def _endpoint(path: str, kind: Kind, request: str, reply: str, options: str | None) -> Endpoint:
    asked = parse_fields(request)
    answered = parse_fields(f"{reply}, info:{{s}}")
    base = _record_base(path)
    return Endpoint(
        path,
        kind,
        _record(f"{base}_request", asked),
        _record(f"{base}_response", answered),
        f"{base}_response",
        {name: default for name, _, default in asked},
        {name: default for name, _, default in answered},
        None if options is None else frozenset(options.split()),
    )


_TABLE_TYPE = "type_id:s, type_definition:s, properties:{[s]}, label:s"
_MONITOR_LISTS = (
    "monitor_ids table_names events increasing_columns filter_expressions join_table_names "
    "join_column_names join_expressions refresh_method refresh_period refresh_start_time "
    "datasink_names"
)
_READ_OPTIONS = "expression sort_by sort_order fast_index_lookup"
_CREATE_TABLE_OPTIONS = (
    "no_error_if_exists is_replicated is_collection collection_name ttl "
    "disallow_homogeneous_tables chunk_size chunk_column_max_memory chunk_max_memory "
    "strategy_definition compression_codec load_vectors_policy build_pk_index_policy "
    "primary_key_type"
)
_SQL_OPTIONS = (
    "cost_based_optimization distributed_joins distributed_operations ignore_existing_pk "
    "late_materialization paging_table paging_table_ttl parallel_execution plan_cache "
    "prepare_mode preserve_dict_encoding query_parameters results_caching "
    "rule_based_optimization ssq_optimization ttl update_on_existing_pk "
    "validate_change_column current_schema"
)

_ALL = (
    _endpoint(
        "/show/system/properties", Kind.LOCAL, "options:{s}", "property_map:{s}", "properties"
    ),
    _endpoint("/show/system/status", Kind.LOCAL, "options:{s}", "status_map:{s}", ""),
    _endpoint(
        "/has/table", Kind.READ, "table_name:s, options:{s}", "table_name:s, table_exists:?", ""
    ),
    _endpoint(
        "/has/schema",
        Kind.READ,
        "schema_name:s, options:{s}",
        "schema_name:s, schema_exists:?",
        "",
    ),
    _endpoint("/has/type", Kind.READ, "type_id:s, options:{s}", "type_id:s, type_exists:?", ""),
    _endpoint(
        "/show/table",
        Kind.READ,
        "table_name:s, options:{s}",
        "table_name:s, table_names:[s], table_descriptions:[[s]], type_ids:[s], type_schemas:[s], "
        "type_labels:[s], properties:[{[s]}], additional_info:[{s}], sizes:[l], full_sizes:[l], "
        "join_sizes:[d], total_size:l, total_full_size:l",
        "dependencies force_synchronous get_access_data get_cached_sizes get_sizes "
        "referencing_materialized_views skip_additional_info no_error_if_not_exists "
        "skip_temp_schemas show_children get_column_info",
    ),
    _endpoint(
        "/show/types",
        Kind.READ,
        "type_id:s, label:s, options:{s}",
        "type_ids:[s], type_schemas:[s], labels:[s], properties:[{[s]}]",
        "no_join_types",
    ),
    _endpoint(
        "/show/schema",
        Kind.READ,
        "schema_name:s, options:{s}",
        "schema_name:s, schema_names:[s], schema_tables:[[s]], additional_info:[{s}]",
        "no_error_if_not_exists",
    ),
    _endpoint(
        "/show/tables/bytype",
        Kind.READ,
        "type_id:s, label:s, options:{s}",
        "table_names:[s]",
        "",
    ),
    _endpoint(
        "/has/permission",
        Kind.READ,
        "principal:s, object:s, object_type:s, permission:s, options:{s}",
        "principal:s, object:s, object_type:s, permission:s, has_permission:?, filters:{s}",
        "no_error_if_not_exists",
    ),
    _endpoint(
        "/grant/permission",
        Kind.DDL,
        "principal:s, object:s, object_type:s, permission:s, options:{s}",
        "principal:s, object:s, object_type:s, permission:s",
        "columns filter_expression with_grant_option",
    ),
    _endpoint(
        "/revoke/permission",
        Kind.DDL,
        "principal:s, object:s, object_type:s, permission:s, options:{s}",
        "principal:s, object:s, object_type:s, permission:s",
        "columns",
    ),
    _endpoint(
        "/create/tablemonitor",
        Kind.LOCAL,
        "table_name:s, options:{s}",
        "topic_id:s, table_name:s, type_schema:s",
        "event monitor_id datasink_name max_consecutive_failures failed_notifications_table_name "
        "destination kafka_topic_name increasing_column expression join_table_names "
        "join_column_names join_expressions refresh_method refresh_period refresh_start_time",
    ),
    _endpoint(
        "/clear/tablemonitor",
        Kind.LOCAL,
        "topic_id:s, options:{s}",
        "topic_id:s",
        "keep_autogenerated_sink clear_all_references",
    ),
    _endpoint(
        "/show/tablemonitors",
        Kind.LOCAL,
        "monitor_ids:[s], options:{s}",
        ", ".join(f"{name}:[s]" for name in _MONITOR_LISTS.split())
        + ", max_consecutive_failures:[i], failed_notifications_table_names:[s], statuses:[s], "
        "additional_info:[{s}]",
        "",
    ),
    _endpoint(
        "/alter/tablemonitor",
        Kind.LOCAL,
        "topic_id:s, monitor_updates_map:{s}, options:{s}",
        "topic_id:s",
        "",
    ),
    _endpoint(
        "/create/schema",
        Kind.DDL,
        "schema_name:s, options:{s}",
        "schema_name:s",
        "no_error_if_exists",
    ),
    _endpoint(
        "/drop/schema",
        Kind.DDL,
        "schema_name:s, options:{s}",
        "schema_name:s",
        "no_error_if_not_exists cascade",
    ),
    _endpoint(
        "/create/type",
        Kind.DDL,
        "type_definition:s, label:s, properties:{[s]}, options:{s}",
        "type_id:s, type_definition:s, label:s, properties:{[s]}",
        "",
    ),
    _endpoint(
        "/create/table",
        Kind.DDL,
        "table_name:s, type_id:s, options:{s}",
        "table_name:s, type_id:s, is_collection:?",
        _CREATE_TABLE_OPTIONS,
    ),
    _endpoint(
        "/clear/table",
        Kind.DDL,
        "table_name:s, authorization:s, options:{s}",
        "table_name:s",
        "no_error_if_not_exists",
    ),
    _endpoint(
        "/clear/tables",
        Kind.DDL,
        "table_names:[s], options:{s}",
        "tables:{s}",
        "no_error_if_not_exists",
    ),
    _endpoint(
        "/alter/table",
        Kind.DDL,
        "table_name:s, action:s, value:s, options:{s}",
        f"table_name:s, action:s, value:s, {_TABLE_TYPE}",
        "column_name column_default_value column_properties column_type copy_values_from_column "
        "rename_column validate_change_column add_column_expression add_column_expression_sql "
        "index_type index_options",
    ),
    _endpoint(
        "/alter/table/columns",
        Kind.DDL,
        "table_name:s, column_alterations:[{s}], options:{s}",
        f"table_name:s, {_TABLE_TYPE}, column_alterations:[{{s}}]",
        "",
    ),
    _endpoint(
        "/insert/records",
        Kind.DML,
        "table_name:s, list:[b], list_str:[s], list_encoding:s, options:{s}",
        "record_ids:[s], count_inserted:i, count_updated:i",
        "update_on_existing_pk enable_inplace_updates ignore_existing_pk return_record_ids "
        "truncate_strings return_individual_errors allow_partial_batch request_schema_str",
    ),
    _endpoint(
        "/insert/records/random",
        Kind.DML,
        "table_name:s, count:l, options:{{d}}",
        "table_name:s, count:l",
        None,
    ),
    _endpoint(
        "/update/records",
        Kind.DML,
        "table_name:s, expressions:[s], new_values_maps:[{S}], records_to_insert:[b], "
        "records_to_insert_str:[s], record_encoding:s, options:{s}",
        "count_updated:l, counts_updated:[l], count_inserted:l, counts_inserted:[l]",
        "global_expression bypass_safety_checks update_on_existing_pk ignore_existing_pk "
        "update_partition enable_inplace_updates truncate_strings "
        "use_expressions_in_new_values_maps record_id",
    ),
    _endpoint(
        "/delete/records",
        Kind.DML,
        "table_name:s, expressions:[s], options:{s}",
        "count_deleted:l, counts_deleted:[l]",
        "global_expression record_id delete_all_records",
    ),
    _endpoint(
        "/get/records",
        Kind.READ,
        "table_name:s, offset:l, limit:l, encoding:s, options:{s}",
        "table_name:s, type_name:s, type_schema:s, records_binary:[b], records_json:[s], "
        "total_number_of_records:l, has_more_records:?",
        _READ_OPTIONS,
    ),
    _endpoint(
        "/get/records/bycolumn",
        Kind.READ,
        "table_name:s, column_names:[s], offset:l, limit:l, encoding:s, options:{s}",
        "table_name:s, response_schema_str:s, binary_encoded_response:b, "
        "json_encoded_response:s, total_number_of_records:l, has_more_records:?",
        f"{_READ_OPTIONS} order_by convert_wkts_to_wkbs route_to_tom",
    ),
    _endpoint(
        "/execute/sql",
        Kind.DML,
        "statement:s, offset:l, limit:l, encoding:s, request_schema_str:s, data:[b], options:{s}",
        "count_affected:l, response_schema_str:s, binary_encoded_response:b, "
        "json_encoded_response:s, total_number_of_records:l, has_more_records:?, paging_table:s",
        _SQL_OPTIONS,
    ),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.path: endpoint for endpoint in _ALL}

# Every reply travels inside this record. Source: protocol, section 1.3.
ENVELOPE: Any = _record(
    "gpudb_response",
    parse_fields("status:s, message:s, data_type:s, data:b, data_str:s"),
)

_SQL_KINDS: Mapping[str, Kind] = {
    "SELECT": Kind.READ,
    "WITH": Kind.READ,
    "VALUES": Kind.READ,
    "INSERT": Kind.DML,
    "UPSERT": Kind.DML,
    "UPDATE": Kind.DML,
    "DELETE": Kind.DML,
    "TRUNCATE": Kind.DML,
}
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def effective_kind(endpoint: Endpoint, request: Mapping[str, Any]) -> Kind:
    """Return the kind of one request; that of an SQL statement is told by its verb."""
    if endpoint.path != "/execute/sql":
        return endpoint.kind
    words = _COMMENTS.sub(" ", request["statement"]).lstrip(" (\n\t").split(None, 1)
    return _SQL_KINDS.get(words[0].upper(), Kind.DDL) if words else Kind.READ
