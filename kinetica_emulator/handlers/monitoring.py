"""Table monitors: making, clearing, showing and changing them.

Notifications leave over ZeroMQ only, when rows change: monitors that write to a sink, join
other tables or run on a clock are refused. Source: protocol, sections 2.2 and 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from kinetica_emulator import sqltext
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.monitors import EVENTS, Monitor, random_topic, schema_of

_NOT_HERE = (
    "datasink_name",
    "destination",
    "kafka_topic_name",
    "failed_notifications_table_name",
    "join_table_names",
    "join_column_names",
    "join_expressions",
    "refresh_period",
    "refresh_start_time",
)


def create_tablemonitor(call: Call) -> Mapping[str, Any]:
    """Make a monitor of one event of a table, under the id asked for or a random one."""
    database = call.database
    table = database.table(call.request["table_name"])
    call.require("monitor_create", table.schema)
    event = call.option("event", "insert")
    if event not in EVENTS:
        raise RequestError(f"Invalid table monitor event '{event}'")
    for name in _NOT_HERE:
        if call.option(name):
            raise RequestError(f"Table monitor option '{name}' is not emulated")
    if call.option("refresh_method") not in ("", "on_change"):
        raise RequestError("Table monitors refreshed otherwise than on_change are not emulated")
    _check_failures(call.option("max_consecutive_failures"))
    increasing = call.option("increasing_column")
    if increasing:
        table.kind.column(increasing)
    expression = call.option("expression")
    condition = ""
    if expression.strip():
        if event != "insert":
            raise RequestError("Only insert monitors can have an expression")
        condition = sqltext.expression(expression)
        database.rows.count(table.name, f"FALSE AND ({condition})")
    monitor = Monitor(
        _topic(call),
        table.name,
        event,
        dict(call.request["options"]),
        schema_of(event, table.kind),
        condition,
        creator=database.user,
    )
    database.monitors.add(monitor)
    return {
        "topic_id": monitor.topic_id,
        "table_name": call.request["table_name"],
        "type_schema": monitor.type_schema,
    }


def _topic(call: Call) -> str:
    """Return the topic of a monitor to be made.

    Raises:
        RequestError: there is a monitor that was made under the same id.
    """
    asked, traits = call.option("monitor_id"), call.database.traits
    if asked and call.database.monitors.find(asked):
        raise RequestError(f"Table monitor '{asked}' already exists")
    if not asked or traits.topics == "other":
        return random_topic(traits.topic_schema)
    if traits.topics == "qualified" and "." not in asked:
        return f"{traits.topic_schema}.{asked}"
    return asked


def clear_tablemonitor(call: Call) -> Mapping[str, Any]:
    """Clear a monitor."""
    topic_id = call.request["topic_id"]
    monitor = call.database.monitors.get(topic_id)
    if monitor.creator != call.user:
        call.require("monitor_admin", monitor.topic_id)
    call.database.monitors.remove(topic_id)
    return {"topic_id": topic_id}


def show_tablemonitors(call: Call) -> Mapping[str, Any]:
    """Describe monitors by id, or all of them."""
    ids = call.request["monitor_ids"]
    monitors = call.database.monitors
    everything = not ids or list(ids) in ([""], ["*"])
    shown = monitors.all() if everything else [monitors.get(topic_id) for topic_id in ids]

    def column(option: str, default: str = "") -> list[str]:
        return [monitor.options.get(option) or default for monitor in shown]

    return {
        "monitor_ids": [_listed(call, monitor) for monitor in shown],
        "table_names": [monitor.table for monitor in shown],
        "events": [monitor.event for monitor in shown],
        "increasing_columns": column("increasing_column"),
        "filter_expressions": column("expression"),
        "join_table_names": column("join_table_names"),
        "join_column_names": column("join_column_names"),
        "join_expressions": column("join_expressions"),
        "refresh_method": column("refresh_method", "on_change"),
        "refresh_period": column("refresh_period"),
        "refresh_start_time": column("refresh_start_time"),
        "datasink_names": column("datasink_name"),
        "max_consecutive_failures": [_failures(monitor) for monitor in shown],
        "failed_notifications_table_names": column("failed_notifications_table_name"),
        "statuses": ["suspended" if monitor.suspended else "running" for monitor in shown],
        "additional_info": [
            {
                "monitor_type": monitor.event,
                "type_schema": monitor.type_schema,
                "references": "1",
                "datasink_json": json.dumps({}),
            }
            for monitor in shown
        ],
    }


def _listed(call: Call, monitor: Monitor) -> str:
    """Return the name under which a monitor is shown."""
    listed = call.database.traits.listed
    if listed == "topic":
        return monitor.topic_id
    return monitor.asked if listed == "asked" else monitor.topic_id.rpartition(".")[2]


def _check_failures(text: str) -> None:
    if text and not re.fullmatch(r"-?\d+", text):
        raise RequestError(f"max_consecutive_failures must be a whole number, not '{text}'")


def _failures(monitor: Monitor) -> int:
    return int(monitor.options.get("max_consecutive_failures") or -1)


def alter_tablemonitor(call: Call) -> Mapping[str, Any]:
    """Suspend or resume a monitor's notifications, or change how many failures it bears."""
    topic_id = call.request["topic_id"]
    monitor = call.database.monitors.get(topic_id)
    for name, value in call.request["monitor_updates_map"].items():
        if name == "notifications" and value in ("suspend", "resume"):
            monitor.suspended = value == "suspend"
        elif name == "max_consecutive_failures":
            _check_failures(value)
            monitor.options[name] = value
        else:
            raise RequestError(f"Table monitor update '{name}' = '{value}' is not emulated")
    return {"topic_id": topic_id}
