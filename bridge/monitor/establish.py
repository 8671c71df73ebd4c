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
from collections.abc import Collection
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

import structlog

from bridge.errors import BridgeError, RequestRefused, WireError
from bridge.events import Column, Schema
from bridge.monitor.naming import monitor_id, prefix, unqualified
from bridge.monitor.subscriber import Channel, Subscriber
from bridge.monitor.table import Route, TableMonitor, make_route
from bridge.wire.calls import Cluster

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
    """

    type_id: str
    topics: frozenset[str]
    channel: Channel
    losses: int


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

    def establish(self, table: TableMonitor) -> Established:
        """Make, or adopt, a table's monitors.

        Raises:
            TableMissing: there is no such table.
            MonitorPortUnreachable: no handshake within the time-out.
            WireError: a call failed.
        """
        for _ in range(_TRIES):
            info = self.cluster.table(table.name)
            if info is None:
                raise TableMissing(f"{table.name} does not exist on {self.cluster.url}")
            # Before the new monitors exist, so that alter precedes the rows of the new layout.
            table.adopt_schema(info.schema, self.cluster.url)
            made = self._make(table, info.schema)
            again = self.cluster.table(table.name)
            if again is not None and again.schema == info.schema:
                self.reap(prefix(self.instance, table.name), keep=made.topics)
                return made
            self.retire(made)
        raise RequestRefused(
            self.cluster.url, "/show/table", f"{table.name} is altered again and again"
        )

    def retire(self, made: Established) -> None:
        """Unsubscribe and clear a table's monitors."""
        self.subscriber.unsubscribe({topic.encode() for topic in made.topics})
        self.clear(made)

    def clear(self, made: Established) -> None:
        """Clear a table's monitors on the server; one that is gone already is no error."""
        for topic in made.topics:
            with contextlib.suppress(WireError):
                self.cluster.clear_monitor(topic)

    def reap(self, begins: str, keep: Collection[str] = ()) -> None:
        """Clear the monitors whose ids begin like this, but for those to keep."""
        for monitor in self.cluster.monitors():
            if unqualified(monitor).startswith(begins) and monitor not in keep:
                with contextlib.suppress(WireError):
                    self.cluster.clear_monitor(monitor)
                    log.info("monitor_reaped", cluster=self.cluster.url, monitor=monitor)

    def _make(self, table: TableMonitor, schema: Schema) -> Established:
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
        existing = {}
        for monitor, info in self.cluster.monitors().items():
            if info.suspended and unqualified(monitor) in ids.values():
                self.cluster.clear_monitor(monitor)
            else:
                existing[unqualified(monitor)] = monitor
        topics = set()
        for event in options.events:
            topic = existing.get(ids[event])
            if topic is not None:
                log.info("monitor_adopted", table=table.name, monitor=topic)
            else:
                created = self.cluster.create_monitor(table.name, event, ids[event], options.filter)
                topic = created.topic_id
                if event != "insert" and created.schema.columns != COUNT_SCHEMA.columns:
                    routes[event] = make_route(table, event, url, created.schema)
                    self._subscribe({topic: routes[event]})
            if topic != ids[event]:
                self._subscribe({topic: routes[event]})
                self.subscriber.unsubscribe({ids[event].encode()})
            topics.add(topic)
        return Established(schema.type_id, frozenset(topics), channel, losses)

    def _subscribe(self, routes: dict[str, Route]) -> Channel:
        topics = {topic.encode(): route for topic, route in routes.items()}
        try:
            channel = self.subscriber.subscribe(self.endpoint, topics).result(self.timeout)
        except (FutureTimeoutError, CancelledError) as error:
            self.subscriber.unsubscribe(set(topics))
            raise MonitorPortUnreachable(
                f"{self.endpoint}: no answer from the port of the table monitors "
                f"within {self.timeout:g} s",
                hint="is the port published, and is kinetica.monitor_port right?",
            ) from error
        time.sleep(_SUBSCRIPTION_SETTLES)
        return channel
