"""What the cluster is: properties, status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kinetica_emulator.handlers.call import Call


def show_system_properties(call: Call) -> Mapping[str, Any]:
    """Return the properties, all or those named."""
    properties = dict(call.identity.properties(call.host_header))
    if not call.database.traits.monitors:
        properties["conf.set_monitor_port"] = "-1"
    wanted = [name.strip() for name in call.option("properties").split(",") if name.strip()]
    if wanted:
        properties = {name: properties[name] for name in wanted if name in properties}
    return {"property_map": properties}


def show_system_status(call: Call) -> Mapping[str, Any]:
    """Return whether it runs, and whether it drains."""
    return {"status_map": call.identity.status()}
