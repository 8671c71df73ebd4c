"""Making a table's monitors so that nothing is lost in between.

Subscribe to the ids we are going to give, wait for the ZeroMQ handshake, only then create
the monitors; look at the layout before and after, and start over where it changed on the
way. Monitors of ours that a crash left behind are adopted where they still fit, else
cleared. Where the server publishes on another topic than the id asked for, that topic is
subscribed too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

import structlog

from bridge.errors import BridgeError, RequestRefused, WireError
from bridge.events import Column, Schema
from bridge.monitor.channel import Channel
from bridge.monitor.moment import Moment
from bridge.monitor.naming import monitor_id, prefix, unqualified
from bridge.monitor.probe import Observation
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import Route, TableMonitor, make_route
from bridge.wire.calls import Cluster, Created, MonitorInfo, TableInfo

log = structlog.get_logger()

# What an update or delete monitor sends, where its own type schema is not at hand
# (protocol, section 4.2).
COUNT_SCHEMA = Schema("count", (Column("count", "long", "long"),))

# The SUBSCRIBE goes out with the handshake; the publisher reads it on a thread of its own.
_SUBSCRIPTION_SETTLES = 0.02
_TRIES = 3


class TableMissing(BridgeError):
    """The cluster has no such table."""


class MonitorPortUnreachable(BridgeError):
    """The ZeroMQ port of the cluster's table monitors does not answer."""


@dataclass(frozen=True, slots=True)
class Established:
    """A table's monitors, made and heard.

    Attributes:
        type_id: of the layout they were made for.
        topics: the ids the server knows them by.
        losses: of the channel, when they were made.
        at: when they were made.
    """

    type_id: str
    topics: frozenset[str]
    channel: Channel
    losses: int
    at: Moment


@dataclass(frozen=True, slots=True)
class Site:
    """Where monitors are made: one cluster, and the port on which it publishes.

    Attributes:
        endpoint: of the cluster's table monitors, `tcp://host:port`.
        instance: marks monitors as made by this bridge.
        timeout: seconds to wait for a ZeroMQ handshake.
    """

    cluster: Cluster
    endpoint: str
    subscriber: Subscriber[Route]
    instance: str
    timeout: float

    def establish(self, table: TableMonitor, seen: Observation) -> Established:
        """Make, or adopt, a table's monitors.

        Args:
            table: whose.
            seen: what the cluster said lately; saves asking again for every table.

        Raises:
            TableMissing: there is no such table.
            MonitorPortUnreachable: no handshake within the time-out.
            WireError: a call failed.
        """
        info, monitors = seen.tables.get(table.name), seen.monitors
        for _ in range(_TRIES):
            if info is None:
                raise TableMissing(f"{table.name} does not exist on {self.cluster.url}")
            # Before the new monitors exist, so that alter precedes the rows of the new layout.
            table.adopt_schema(info.schema, self.cluster.url)
            made = self._make(table, info.schema, monitors)
            again = self._look_again(table.name, made)
            if again is not None and again.schema == info.schema:
                if not self._release(made):
                    told = "what arrived while the monitors were made found no room"
                    table.gaps.begin("overrun", seen.asked_at, told)
                begins = prefix(self.instance, table.name)
                self.reap(m for m in monitors if _begins(m, begins) and m not in made.topics)
                return made
            # In which layout the monitors spoke is not known: it is missed, and said.
            told = "the layout changed while the monitors were made"
            table.gaps.begin("altered", seen.asked_at, told)
            self.retire(made)
            info, monitors = again, self.cluster.monitors()
        raise RequestRefused(
            self.cluster.url, "/show/table", f"{table.name} is altered again and again"
        )

    def _look_again(self, table: str, made: Established) -> TableInfo | None:
        try:
            return self.cluster.table(table)
        except WireError:
            self._forget(made.topics)
            raise

    def _release(self, made: Established) -> bool:
        """Hand on what the monitors have said meanwhile; False if that is not all."""
        topics = {topic.encode() for topic in made.topics}
        try:
            return self.subscriber.release(topics).result(self.timeout)
        except FutureTimeoutError:  # the polling thread has ended
            return False

    def _forget(self, topics: Iterable[str]) -> None:
        self.subscriber.unsubscribe({topic.encode() for topic in topics})

    def retire(self, made: Established) -> None:
        """Unsubscribe and clear a table's monitors."""
        self._forget(made.topics)
        self.clear(made)

    def clear(self, made: Established) -> None:
        """Clear a table's monitors on the server; one that is gone already is no error."""
        for topic in made.topics:
            with contextlib.suppress(WireError):
                self.cluster.clear_monitor(topic)

    def reap(self, monitors: Iterable[str]) -> None:
        """Clear monitors of ours that are of no use any more."""
        for monitor in monitors:
            with contextlib.suppress(WireError):
                self.cluster.clear_monitor(monitor)
                log.info("monitor_reaped", cluster=self.cluster.url, monitor=monitor)

    def reap_strangers(self, tables: Collection[str]) -> None:
        """Clear monitors of ours for tables that are no longer looked after."""
        kept = [prefix(self.instance, table) for table in tables]
        ours = [m for m in self.cluster.monitors() if _begins(m, prefix(self.instance))]
        self.reap(m for m in ours if not any(_begins(m, begins) for begins in kept))

    def _make(
        self, table: TableMonitor, schema: Schema, monitors: Mapping[str, MonitorInfo]
    ) -> Established:
        options, url = table.options, self.cluster.url
        ids = {
            event: monitor_id(self.instance, table.name, options.filter, event, schema.type_id)
            for event in options.events
        }
        routes = {
            event: make_route(table, event, url, schema if event == "insert" else COUNT_SCHEMA)
            for event in options.events
        }
        channel = self._subscribe({ids[event]: routes[event] for event in options.events})
        losses = channel.losses
        existing = {unqualified(m): m for m, info in monitors.items() if not info.suspended}
        topics: set[str] = set()
        try:
            for event in options.events:
                topics.add(self._make_one(table, event, ids[event], existing, routes))
        except WireError:
            self._forget({*ids.values(), *topics})
            raise
        return Established(schema.type_id, frozenset(topics), channel, losses, Moment.now())

    def _make_one(
        self,
        table: TableMonitor,
        event: str,
        monitor: str,
        existing: Mapping[str, str],
        routes: dict[str, Route],
    ) -> str:
        """Make, or adopt, one monitor whose id is subscribed; return its topic."""
        topic = existing.get(monitor)
        if topic is not None:
            log.info("monitor_adopted", table=table.name, monitor=topic)
        else:
            created = self._create(table, event, monitor)
            topic = created.topic_id
            if event != "insert" and created.schema.columns != COUNT_SCHEMA.columns:
                routes[event] = make_route(table, event, self.cluster.url, created.schema)
                self._subscribe({topic: routes[event]})
        if topic != monitor:
            self._subscribe({topic: routes[event]})
            self._forget([monitor])
        return topic

    def _create(self, table: TableMonitor, event: str, monitor: str) -> Created:
        filter_ = table.options.filter
        try:
            return self.cluster.create_monitor(table.name, event, monitor, filter_)
        except RequestRefused:
            # One of that id that is suspended, or was not there yet when we looked.
            same = [m for m in self.cluster.monitors() if unqualified(m) == monitor]
            if not same:
                raise
            self.reap(same)
            return self.cluster.create_monitor(table.name, event, monitor, filter_)

    def _subscribe(self, routes: dict[str, Route]) -> Channel:
        topics = {topic.encode(): route for topic, route in routes.items()}
        try:
            channel = self.subscriber.subscribe(self.endpoint, topics, held=True).result(
                self.timeout
            )
        except (FutureTimeoutError, CancelledError) as error:
            self.subscriber.unsubscribe(set(topics))
            raise MonitorPortUnreachable(
                f"{self.endpoint}: no answer from the port of the table monitors "
                f"within {self.timeout:g} s",
                hint="is the port published, and is kinetica.monitor_port right?",
            ) from error
        time.sleep(_SUBSCRIPTION_SETTLES)
        return channel


def _begins(monitor: str, begins: str) -> bool:
    return unqualified(monitor).startswith(begins)
