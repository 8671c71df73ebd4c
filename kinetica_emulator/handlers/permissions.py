"""Permissions: asking, granting and revoking them. Source: protocol, section 4.4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.permissions import permission_name


def has_permission(call: Call) -> Mapping[str, Any]:
    """Say whether a user may do something; whoever asks, if no user is named."""
    request, database = call.request, call.database
    on = _object(call)
    if on is None:
        if not call.flag("no_error_if_not_exists"):
            raise RequestError(f"{request['object_type']} '{request['object']}' does not exist")
        return {**_echoed(call), "has_permission": False}
    principal = request["principal"] or database.user
    permission = permission_name(request["object_type"], request["permission"])
    allowed = database.permissions.allows(principal, permission, on)
    return {**_echoed(call), "object": on, "has_permission": allowed}


def grant_permission(call: Call) -> Mapping[str, Any]:
    """Let a user do something."""
    return _change(call, call.database.permissions.grant)


def revoke_permission(call: Call) -> Mapping[str, Any]:
    """Take back what was granted."""
    return _change(call, call.database.permissions.revoke)


def _change(call: Call, change: Callable[[str, str, str], None]) -> Mapping[str, Any]:
    request = call.request
    call.require("system_admin", "")
    if not call.database.permissions.knows(request["principal"]):
        raise RequestError(f"User '{request['principal']}' does not exist")
    on = _object(call)
    if on is None:
        raise RequestError(f"{request['object_type']} '{request['object']}' does not exist")
    permission = permission_name(request["object_type"], request["permission"])
    change(request["principal"], permission, on)
    return _echoed(call)


def _object(call: Call) -> str | None:
    """Return the object with its schema, empty for the whole system, None if there is none."""
    name, kind, database = call.request["object"], call.request["object_type"], call.database
    if kind == "table":
        table = database.find(name)
        # A grant on the tables of a schema names the schema.
        return table.name if table else name if name in database.schemas else None
    if kind == "schema":
        return name if name in database.schemas else None
    if kind == "table_monitor":
        monitor = database.monitors.find(name)
        return monitor.topic_id if monitor else name if name in database.schemas else None
    return "" if kind == "system" else str(name)


def _echoed(call: Call) -> dict[str, Any]:
    return {
        name: call.request[name] for name in ("principal", "object", "object_type", "permission")
    }
