"""The calls a monitor makes, by name and with typed results.

A reply that lacks what the protocol promises is a ReplyNotUnderstood, never a KeyError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from bridge.events import Schema
from bridge.wire.catalogue import Catalogue
from bridge.wire.client import AvroCall, Http, understanding
from bridge.wire.tables import Facts, TableInfo, all_forms, made_again
from bridge.wire.types import parse_schema

__all__ = [
    "DEFAULT_MONITOR_PORT",
    "Cluster",
    "Created",
    "Facts",
    "MonitorInfo",
    "Properties",
    "Query",
    "RowsPage",
    "TableInfo",
    "all_forms",
    "made_again",
    "qualified",
]

DEFAULT_SCHEMA = "ki_home"
DEFAULT_MONITOR_PORT = 9002


def qualified(table: str) -> str:
    """Return a table's name with its schema, the default schema where it names none.

    >>> qualified("orders"), qualified("shop.orders")
    ('ki_home.orders', 'shop.orders')
    """
    return table if "." in table else f"{DEFAULT_SCHEMA}.{table}"


class MonitorInfo(NamedTuple):
    """What `/show/tablemonitors` says of one table monitor."""

    monitor_id: str
    table: str
    event: str
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """A table monitor just made: the topic it publishes on and the layout of its frames."""

    topic_id: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Properties:
    """What a cluster says of itself, as far as a monitor cares.

    Attributes:
        identity: what tells it from other clusters, whatever URL it is reached by: where its head
            node says it is. "" where it does not say.
        version: of the server, "" where it does not say.
        monitor_port: the ZeroMQ port of its table monitors; None where it does not say,
            -1 where table monitors are switched off.
        ring: the head nodes of its HA ring, empty without one.
    """

    version: str = ""
    monitor_port: int | None = None
    ring: tuple[str, ...] = ()
    identity: str = ""


def all_of(*conditions: str | None) -> str | None:
    """Return the expression that says that all conditions hold, None where there are none.

    >>> all_of(None, "a > 1"), all_of("a > 1", "b is null")
    ('a > 1', '(a > 1) and (b is null)')
    """
    given = [condition for condition in conditions if condition]
    if len(given) < 2:
        return given[0] if given else None
    return " and ".join(f"({condition})" for condition in given)


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows of a table to read, and in which order.

    Attributes:
        expression: a condition on columns, evaluated by Kinetica; None for all rows.
        sort_by: a column; None for the order in which Kinetica has them.
        order: ascending or descending.
    """

    table: str
    expression: str | None = None
    sort_by: str | None = None
    order: Literal["ascending", "descending"] = "ascending"


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some rows of a table.

    Attributes:
        type_id: of the layout the rows have.
        frames: the rows, one Avro object each.
        total: how many rows the query has in all.
        more: whether there are rows after these.
    """

    type_id: str
    frames: list[bytes]
    total: int
    more: bool


# Protocol, section 2.4.
_GET_RECORDS = AvroCall.of(
    "get_records",
    {
        "table_name": "string",
        "offset": "long",
        "limit": "long",
        "encoding": "string",
        "options": {"type": "map", "values": "string"},
    },
    {
        "table_name": "string",
        "type_name": "string",
        "type_schema": "string",
        "records_binary": {"type": "array", "items": "bytes"},
        "records_json": {"type": "array", "items": "string"},
        "total_number_of_records": "long",
        "has_more_records": "boolean",
        "info": {"type": "map", "values": "string"},
    },
)


@dataclass(slots=True)
class Cluster:
    """One Kinetica database, as seen through its HTTP API."""

    http: Http
    _catalogue: Catalogue = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._catalogue = Catalogue(self.http)

    @property
    def url(self) -> str:
        """The URL that names this cluster."""
        return self.http.url

    def status(self, timeout: float) -> str:
        """Return `running`, or what the cluster says it is instead.

        `draining` stands for a ring member that still takes over what it missed.
        """
        with understanding(self.http, "/show/system/status") as endpoint:
            statuses = self.http.call(endpoint, {}, timeout=timeout)["status_map"]
            system = str(json.loads(statuses["system"])["status"])
            if "ha_status" in statuses and system == "running":
                drained = json.loads(statuses["ha_status"]).get("drained")
                if drained == "draining":
                    return "draining"
            return system

    def properties(self, timeout: float | None = None) -> Properties:
        """Return the version, the monitor port and the ring's head nodes."""
        with understanding(self.http, "/show/system/properties") as endpoint:
            found = self.http.call(endpoint, {}, timeout=timeout)["property_map"]
            port = found.get("conf.set_monitor_port")
            ring: tuple[str, ...] = ()
            if str(found.get("conf.enable_ha", "")).lower() == "true":
                nodes = str(found.get("conf.ha_ring_head_nodes_full", ""))
                # Clusters are parted by semicolons, alternate addresses of one by commas.
                ring = tuple(
                    node.split(",")[0].strip() for node in nodes.split(";") if node.strip()
                )
            return Properties(
                version=str(found.get("version.gpudb_core_version", "")),
                monitor_port=int(port) if port not in (None, "") else None,
                ring=ring,
                identity=self._identity(found),
            )

    def _identity(self, properties: Mapping[str, Any]) -> str:
        said = [
            str(properties.get(name, "")).split(";")[0].strip().lower()
            for name in ("conf.worker_http_server_urls", "conf.host0_public_urls")
        ]
        address = next(filter(None, said), "")
        # An address that only the cluster's own machine can use names it to nobody else.
        own = _is_loopback(urlsplit(address.split(",")[0]).hostname or "")
        return "" if own and not _is_loopback(self.http.host) else address

    def table(
        self, name: str, *, sizes: bool = False, timeout: float | None = None
    ) -> TableInfo | None:
        """Return a table's layout, None where there is no such table."""
        return self._catalogue.table(name, sizes=sizes, timeout=timeout)

    def tables(
        self, schema: str, timeout: float, wanted: Sequence[str] | None = None
    ) -> dict[str, TableInfo]:
        """Return tables of one schema by qualified name, all or those wanted, if they exist."""
        return self._catalogue.tables(schema, wanted, timeout)

    def catalogue(self, names: Iterable[str], timeout: float) -> dict[str, Facts | None]:
        """Return what tables are without their layouts; see `Catalogue.facts`."""
        return self._catalogue.facts(names, timeout)

    def names(self, schema: str, timeout: float) -> frozenset[str]:
        """Return the qualified names of all tables of a schema."""
        return self._catalogue.names(schema, timeout)

    def monitors(self, timeout: float | None = None) -> dict[str, MonitorInfo]:
        """Return every table monitor of the cluster by its id."""
        with understanding(self.http, "/show/tablemonitors") as endpoint:
            reply = self.http.call(endpoint, {"monitor_ids": []}, timeout=timeout)
            ids = reply["monitor_ids"]
            # Older servers of the same line have no statuses (protocol, section 2.2).
            statuses = reply.get("statuses") or [""] * len(ids)
            return {
                monitor_id: MonitorInfo(monitor_id, table, event, status == "suspended")
                for monitor_id, table, event, status in zip(
                    ids, reply["table_names"], reply["events"], statuses, strict=True
                )
            }

    def read_rows(self, query: Query, offset: int, limit: int) -> RowsPage:
        """Read some rows of a table, as the bytes they are on the wire."""
        options = {}
        if query.expression:
            options["expression"] = query.expression
        if query.sort_by:
            options |= {"sort_by": query.sort_by, "sort_order": query.order}
        endpoint = "/get/records"
        reply = self.http.call_avro(
            endpoint,
            _GET_RECORDS,
            {
                "table_name": query.table,
                "offset": offset,
                "limit": limit,
                "encoding": "binary",
                "options": options,
            },
        )
        return RowsPage(
            reply["type_name"],
            reply["records_binary"],
            reply["total_number_of_records"],
            reply["has_more_records"],
        )

    def create_monitor(
        self, table: str, event: str, monitor_id: str, expression: str | None = None
    ) -> Created:
        """Make a table monitor for one kind of event under an id of our choice."""
        options = {"event": event, "monitor_id": monitor_id}
        if expression and event == "insert":
            options["expression"] = expression
        with understanding(self.http, "/create/tablemonitor") as endpoint:
            reply = self.http.call(
                endpoint, {"table_name": table, "options": options}, changes=True
            )
            return Created(str(reply["topic_id"]), parse_schema("", reply["type_schema"], {}))

    def clear_monitor(self, topic_id: str, timeout: float | None = None) -> None:
        """Take a table monitor away.

        Raises:
            RequestRefused: the cluster would not, most likely since there is none.
        """
        self.http.call(
            "/clear/tablemonitor",
            {"topic_id": topic_id, "options": {"clear_all_references": "true"}},
            changes=True,
            timeout=timeout,
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1", "0.0.0.0")  # noqa: S104
