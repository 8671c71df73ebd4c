"""What a configuration asks for, in the terms of the rooms that do it; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.config import Config, Table
from bridge.delivery.encoding import TableForm
from bridge.errors import BridgeError, excerpt
from bridge.monitor.table_options import (
    DEFAULT_WHOLE_ROWS,
    ByColumn,
    CatchUp,
    Off,
    TableOptions,
    Whole,
)
from bridge.monitor.watch import WatchOptions
from bridge.sinks.base import Sink, SinkSettings
from bridge.sinks.registry import find
from bridge.wire.calls import Cluster, qualified
from bridge.wire.client import Access, Http
from bridge.wire.ring import Ring


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """One sink: its settings, and the tables whose events it gets."""

    settings: SinkSettings
    tables: frozenset[str]

    def build(self, name: str) -> Sink:
        """Make the sink.

        Raises:
            BridgeError: its class cannot be found, or its constructor raised.
        """
        try:
            return find(self.settings.type)(self.settings)
        except BridgeError:
            raise
        except BaseException as error:  # a plug-in may raise anything
            cause = excerpt(f"{type(error).__name__}: {error}")
            raise BridgeError(
                f"sink {name} ({self.settings.type}) cannot be made: {cause}"
            ) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole configuration: sinks by id, tables by qualified name."""

    config: Config
    sinks: Mapping[str, SinkPlan]
    tables: Mapping[str, TableOptions]
    forms: Mapping[str, TableForm]


def make_plan(config: Config) -> Plan:
    """Return what a configuration asks for."""
    routed: dict[str, set[str]] = {name: set() for name in config.sinks}
    for table in config.tables:
        for sink in table.sinks:
            routed[sink].add(qualified(table.name))
    return Plan(
        config,
        {
            name: SinkPlan(settings, frozenset(routed[name]))
            for name, settings in config.sinks.items()
        },
        {qualified(table.name): _table_options(table) for table in config.tables},
        table_forms(config),
    )


def make_ring(config: Config) -> Ring:
    """Return the ring of the configured clusters."""
    kinetica = config.kinetica
    access = Access(
        username=kinetica.username,
        password=kinetica.password.get_secret_value() if kinetica.password else None,
        token=kinetica.token.get_secret_value() if kinetica.token else None,
        ca_file=str(kinetica.tls.ca_file) if kinetica.tls.ca_file else None,
        verify=kinetica.tls.verify,
    )
    return Ring(kinetica.urls, lambda url: Cluster(Http(url, access, kinetica.timeout)))


def watch_options(config: Config) -> WatchOptions:
    """Return how the clusters are watched."""
    kinetica = config.kinetica
    return WatchOptions(
        probe_interval=kinetica.probe_interval,
        probe_timeout=kinetica.probe_timeout,
        timeout=kinetica.timeout,
        monitor_port=kinetica.monitor_port,
        failback=kinetica.failback,
    )


def table_forms(config: Config) -> dict[str, TableForm]:
    """Return how the rows of each table are written, by qualified name."""
    return {qualified(t.name): TableForm(t.key, t.values) for t in config.tables}


def _table_options(table: Table) -> TableOptions:
    return TableOptions(
        name=qualified(table.name),
        events=table.events,
        filter=table.filter,
        inactivity_timeout=table.inactivity_timeout,
        on_decode_failure=table.on_decode_failure,
        on_drop=table.on_drop,
        catch_up=_catch_up(table),
        snapshot=table.snapshot,
    )


def _catch_up(table: Table) -> CatchUp:
    if table.catch_up == "off":
        return Off()
    if table.catch_up_column is not None:
        return ByColumn(table.catch_up_column)
    return Whole(DEFAULT_WHOLE_ROWS, keyed=True)
