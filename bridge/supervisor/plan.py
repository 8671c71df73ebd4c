"""What a configuration asks for, in the terms of the rooms that do it; no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bridge.config import Config, Table
from bridge.errors import BridgeError, excerpt
from bridge.formats.base import Output
from bridge.formats.making import make_format
from bridge.formats.shape import Shape, Stage
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
from bridge.wire.calls import qualified
from bridge.wire.client import Access
from bridge.wire.ring import Ring


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """One sink: its settings, and the tables whose events it gets.

    Attributes:
        settings: of the sink.
        shapes: how the rows of each of its tables look, by qualified name.
        instance: the name of this bridge.
    """

    settings: SinkSettings
    shapes: Mapping[str, Shape]
    instance: str

    @property
    def tables(self) -> frozenset[str]:
        """The tables whose events it gets."""
        return frozenset(self.shapes)

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

    def output(self, sink: Sink) -> Output:
        """Return the form that the sink, made by `build`, wants."""
        made = make_format(self.settings, self.instance, sink.place_of)
        return Output(made, dict(self.shapes), sink.keyed)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole configuration: sinks by id, tables by qualified name."""

    config: Config
    sinks: Mapping[str, SinkPlan]
    tables: Mapping[str, TableOptions]


def make_plan(config: Config, found: Collection[str] = ()) -> Plan:
    """Return what a configuration asks for.

    Args:
        config: with patterns, perhaps.
        found: qualified names of tables that there are; those that a pattern means are watched.
    """
    entries = _entries(config, found)
    routed: dict[str, dict[str, Shape]] = {name: {} for name in config.sinks}
    for name, entry in entries.items():
        for sink in entry.sinks:
            routed[sink][name] = _shape(entry, config.sinks[sink].stage)
    return Plan(
        config,
        {
            name: SinkPlan(settings, routed[name], config.instance)
            for name, settings in config.sinks.items()
        },
        {name: _table_options(name, entry) for name, entry in entries.items()},
    )


def _entries(config: Config, found: Collection[str]) -> dict[str, Table]:
    """Return the tables that are watched, each with the entry that it belongs to."""
    named = {qualified(entry.name): entry for entry in config.tables if not entry.is_pattern}
    meant = {name: config.entry(name) for name in sorted(found) if name not in named}
    return named | {name: entry for name, entry in meant.items() if entry is not None}


def access_of(config: Config) -> Access:
    """Return how the clusters let us in."""
    kinetica = config.kinetica
    return Access(
        username=kinetica.username,
        password=kinetica.password.get_secret_value() if kinetica.password else None,
        token=kinetica.token.get_secret_value() if kinetica.token else None,
        ca_file=str(kinetica.tls.ca_file) if kinetica.tls.ca_file else None,
        verify=kinetica.tls.verify,
    )


def make_ring(config: Config) -> Ring:
    """Return the ring of the configured clusters."""
    return Ring(config.kinetica.urls, access_of(config), config.kinetica.timeout)


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


def table_shapes(config: Config, found: Collection[str] = ()) -> dict[str, Shape]:
    """Return how the rows of each table look before any sink shapes them, by qualified name."""
    return {name: _shape(entry) for name, entry in _entries(config, found).items()}


def _shape(entry: Table, *more: Stage) -> Shape:
    return Shape(entry.key, entry.values, tuple(stage for stage in (entry.stage, *more) if stage))


def _table_options(name: str, table: Table) -> TableOptions:
    return TableOptions(
        name=name,
        events=table.events,
        filter=table.filter,
        inactivity_timeout=table.inactivity_timeout,
        on_decode_failure=table.on_decode_failure,
        on_drop=table.on_drop,
        catch_up=_catch_up(table),
        update_rows=table.update_rows.column if table.update_rows is not None else None,
        snapshot=table.snapshot,
    )


def _catch_up(table: Table) -> CatchUp:
    wanted = table.catch_up
    if wanted is None:
        return Whole(DEFAULT_WHOLE_ROWS, keyed=True)
    if wanted == "off":
        return Off()
    if wanted.column is not None:
        return ByColumn(wanted.column)
    return Whole(wanted.whole_table or DEFAULT_WHOLE_ROWS)
