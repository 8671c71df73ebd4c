"""A cluster's monitors: made so that nothing is lost in between, adopted, cleared.

Subscribe to the ids we are going to give, wait for the ZeroMQ handshake, only then create
the monitors; look at the layouts before and after, and give up those that changed on the
way. Many tables go through that together. Monitors of ours that a crash left behind are adopted
where they still fit, else cleared. Where the server publishes on another topic than the id asked
for, that topic is subscribed too, on the same channel.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

import structlog
import zmq

from bridge.errors import BridgeError, ClusterUnavailable, RequestRefused, WireError
from bridge.events import Column, Schema
from bridge.loop import Deadline
from bridge.monitor.channel import Channel, Subscription
from bridge.monitor.moment import Moment
from bridge.monitor.naming import monitor_id, prefix, unqualified
from bridge.monitor.probe import Monitors, Observation
from bridge.monitor.route import Route, make_route
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import TableMonitor
from bridge.wire.calls import Cluster, Created, Facts, TableInfo, all_forms, made_again

log = structlog.get_logger()

# What an update or delete monitor sends, where its own type schema is not at hand
# (protocol, section 4.2).
COUNT_SCHEMA = Schema("count", (Column("count", "long", "long"),))

# The SUBSCRIBE goes out with the handshake; the publisher reads it on a thread of its own.
_SUBSCRIPTION_SETTLES = 0.02


class TableMissing(BridgeError):
    """The cluster has no such table."""


class TableMadeAgain(BridgeError):
    """It is another table than the one that this cluster had under its name."""


class TableUnusable(BridgeError):
    """The table cannot be watched as it is: its layout is not understood, or changed meanwhile."""


class MonitorPortUnreachable(BridgeError):
    """The ZeroMQ port of the cluster's table monitors does not answer."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        super().__init__(
            f"{endpoint}: no answer from the port of the table monitors within {timeout:g} s",
            hint="is the port published, and is kinetica.monitor_port right?",
        )


@dataclass(frozen=True, slots=True)
class Established:
    """A table's monitors, made and heard.

    Attributes:
        type_id: of the layout they were made for.
        topics: what they publish on.
        names: of each of them, the names that the server may list it by.
        channel: where they are heard, all of them.
        losses: of the channel, as far as they were seen to.
        at: when they were made.
        identity: of the table, in all forms that were told.
    """

    type_id: str
    topics: frozenset[str]
    names: tuple[frozenset[str], ...]
    channel: Channel
    losses: int
    at: Moment
    identity: str = ""


@dataclass(slots=True)
class _Making:
    """A table whose monitors are being made."""

    table: TableMonitor
    info: TableInfo
    schema: Schema
    ids: dict[str, str]
    routes: dict[str, Route]
    subscription: Subscription | None = None
    topics: dict[str, str] = field(default_factory=dict)

    @property
    def subscribed(self) -> set[str]:
        """Every topic that may be subscribed for it."""
        return {*self.ids.values(), *self.topics.values()}


@dataclass(frozen=True, slots=True)
class ClusterMonitors:
    """Where monitors are made: one cluster, and the port on which it publishes.

    Attributes:
        cluster: the cluster.
        said: what it says of itself, "" where it says nothing.
        endpoint: of its table monitors, `tcp://host:port`.
        subscriber: the polling thread.
        instance: marks monitors as made by this bridge.
        timeout: seconds to wait for a ZeroMQ handshake.
        alone: whether there is no other cluster.
        adopts: whether the server publishes under the ids asked for, so that monitors which are
            there already can be heard.
        key: what its word on tables is kept under.
    """

    cluster: Cluster
    said: str
    endpoint: str
    subscriber: Subscriber[Route]
    instance: str
    timeout: float
    alone: bool = True
    adopts: bool = True
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key_of(self.cluster, self.said))

    def may_clear(self, current: ClusterMonitors | None) -> bool:
        """Whether monitors here are surely not those of the cluster in use under another URL."""
        if current is None or current.cluster is self.cluster:
            return True
        return bool(self.said and current.said) and self.said != current.said

    def establish(
        self, tables: Sequence[TableMonitor], seen: Observation
    ) -> dict[TableMonitor, Established | Exception]:
        """Make, or adopt, the monitors of some tables; the trouble of one is its own.

        Args:
            tables: whose.
            seen: what the cluster said lately; saves asking again for every table.
        """
        done: dict[TableMonitor, Established | Exception] = {}
        making: list[_Making] = []
        for table in tables:
            try:
                making.append(self._prepare(table, seen))
            except Exception as error:  # noqa: BLE001 (whatever it is, it is this table's)
                done[table] = error
        making = self._subscribe_all(making, done)
        for each in making:
            try:
                self._make(each, seen.monitors)
            except Exception as error:  # noqa: BLE001
                self._forget(each.subscribed)
                done[each.table] = error
        made = [each for each in making if each.table not in done]
        changed = self._changed(made, seen)
        for each in made:
            done[each.table] = self._finish(each, seen, changed[each.table.name])
        return done

    def _prepare(self, table: TableMonitor, seen: Observation) -> _Making:
        name, options, url = table.name, table.options, self.cluster.url
        info = seen.layouts.get(name) or self.cluster.table(name)
        if info is None:
            raise TableMissing(f"{name} does not exist on {url}")
        if made_again(table.identities.get(self.key, ""), info.facts.identity):
            # The probe may have been told in another form than was known.
            raise TableMadeAgain(f"{name} is another one than before on {url}")
        schema = info.schema
        if schema is None:
            raise TableUnusable(info.trouble or f"{name} has no layout")
        # Before the new monitors exist, so that alter precedes the rows of the new layout.
        table.adopt_schema(schema, url)
        events = table.monitored(schema)
        ids = {
            event: monitor_id(self.instance, name, options.filter, event, schema.type_id)
            for event in events
        }
        routes = {
            event: make_route(table, event, url, schema if event == "insert" else COUNT_SCHEMA)
            for event in events
        }
        return _Making(table, info, schema, ids, routes)

    def _subscribe_all(
        self, making: Sequence[_Making], done: dict[TableMonitor, Established | Exception]
    ) -> list[_Making]:
        """Subscribe all together; return those whose connection stands."""
        futures = [
            self.subscriber.subscribe(self.endpoint, _topics(each), held=True) for each in making
        ]
        deadline = Deadline(self.timeout)
        for each, future in zip(making, futures, strict=True):
            try:
                each.subscription = future.result(deadline.left)
            except (FutureTimeoutError, CancelledError, zmq.ZMQError):
                self._forget(each.subscribed)
                done[each.table] = MonitorPortUnreachable(self.endpoint, self.timeout)
        if making:
            time.sleep(_SUBSCRIPTION_SETTLES)
        return [each for each in making if each.subscription is not None]

    def _make(self, each: _Making, monitors: Monitors) -> None:
        for event, monitor in each.ids.items():
            topic = monitors.ids.get(monitor) if self.adopts else None
            if topic is not None and monitor in monitors.alive:
                log.info("monitor_adopted", table=each.table.name, monitor=topic)
            else:
                topic = self._make_one(each, event, monitor)
            each.topics[event] = topic
            if topic != monitor:
                self._subscribe_beside(each, event)
                self._forget([monitor])

    def _make_one(self, each: _Making, event: str, monitor: str) -> str:
        created = self._create(each.table, event, monitor)
        if event != "insert" and created.schema.columns != COUNT_SCHEMA.columns:
            url = self.cluster.url
            each.routes[event] = make_route(each.table, event, url, created.schema)
            each.topics[event] = created.topic_id
            self._subscribe_beside(each, event)
        return created.topic_id

    def _subscribe_beside(self, each: _Making, event: str) -> None:
        """Subscribe a topic that is known only now where the table's other topics are."""
        if each.subscription is None:
            raise MonitorPortUnreachable(self.endpoint, self.timeout)
        topic, channel = each.topics[event].encode(), each.subscription.channel
        try:
            self.subscriber.subscribe(
                self.endpoint, {topic: each.routes[event]}, held=True, beside=channel
            ).result(self.timeout)
        except (FutureTimeoutError, CancelledError, zmq.ZMQError) as error:
            raise MonitorPortUnreachable(self.endpoint, self.timeout) from error
        time.sleep(_SUBSCRIPTION_SETTLES)

    def _create(self, table: TableMonitor, event: str, monitor: str) -> Created:
        filter_ = table.options.filter
        try:
            return self.cluster.create_monitor(table.name, event, monitor, filter_)
        except RequestRefused:
            # One of that id that is suspended, cannot be heard, or was not there when we looked.
            same = [m for m in self.cluster.monitors() if unqualified(m) == monitor]
            if not same:
                raise
            self.reap(same)
            return self.cluster.create_monitor(table.name, event, monitor, filter_)

    def _changed(self, made: Sequence[_Making], seen: Observation) -> dict[str, str | None]:
        """Return of each table whether, and how, it changed while its monitors were made."""
        names = [each.table.name for each in made]
        now: Mapping[str, Facts | None] = {}
        if names and all(seen.facts.get(name) is not None for name in names):
            with contextlib.suppress(WireError):
                now = self.cluster.catalogue(names, self.timeout)
        changed: dict[str, str | None] = {}
        for each in made:
            name = each.table.name
            before, after = seen.facts.get(name), now.get(name)
            if before is not None and after is not None and _same(before, after):
                changed[name] = None
                continue
            try:
                info = self.cluster.table(name)
            except WireError as error:
                changed[name] = str(error)
            else:
                same = info is not None and info.schema == each.schema
                changed[name] = None if same else f"{name} was altered while it was looked at"
        return changed

    def _finish(
        self, each: _Making, seen: Observation, changed: str | None
    ) -> Established | Exception:
        table, topics = each.table, frozenset(each.topics.values())
        if changed is not None or each.subscription is None:
            # In which layout the monitors spoke is not known: it is missed, and said.
            table.gaps.begin("altered", seen.asked_at, changed or "")
            self._forget(each.subscribed)
            self.clear(topics)
            return TableUnusable(changed or "")
        if not self._release(topics):
            table.gaps.begin("overrun", seen.asked_at, "too much came while monitors were made")
        kept = {unqualified(name) for name in (*topics, *each.ids.values())}
        begins = prefix(self.instance, table.name)
        left = (m for m in seen.monitors.ids if m.startswith(begins) and m not in kept)
        self.reap(seen.monitors.ids[name] for name in left)
        channel, losses = each.subscription
        names = tuple(
            frozenset({unqualified(each.topics[event]), each.ids[event]}) for event in each.ids
        )
        facts = seen.facts.get(table.name)
        identity = all_forms(each.info.facts.identity, facts.identity if facts else "")
        at = Moment.now()
        return Established(each.schema.type_id, topics, names, channel, losses, at, identity)

    def _release(self, topics: Iterable[str]) -> bool:
        """Hand on what the monitors have said meanwhile; False if that is not all."""
        try:
            return self.subscriber.release({t.encode() for t in topics}).result(self.timeout)
        except FutureTimeoutError:  # the polling thread has ended
            return False

    def _forget(self, topics: Iterable[str]) -> None:
        self.subscriber.unsubscribe({topic.encode() for topic in topics})

    def retire(self, topics: Collection[str]) -> bool:
        """Unsubscribe monitors and clear them on the server; as `clear`."""
        self._forget(topics)
        return self.clear(topics)

    def clear(
        self, monitors: Iterable[str], cleared: Callable[[str], object] = lambda _: None
    ) -> bool:
        """Clear monitors on the server; one that is gone already is no error.

        Args:
            monitors: their topics, or ids.
            cleared: told of each that was.

        Returns:
            Whether all were asked for: a cluster that does not answer is not asked for each.
        """
        for monitor in monitors:
            try:
                self.cluster.clear_monitor(monitor)
            except ClusterUnavailable:
                return False
            except WireError:
                continue
            cleared(monitor)
        return True

    def reap(self, monitors: Iterable[str]) -> bool:
        """Clear monitors of ours that are of no use any more; returns as `clear`."""

        def tell(monitor: str) -> None:
            log.info("monitor_reaped", cluster=self.cluster.url, monitor=monitor)

        return self.clear(monitors, tell)

    def reap_strangers(self, found: Monitors, tables: Collection[str]) -> bool:
        """Clear monitors of ours for tables that are not looked after; returns as `clear`."""
        kept = tuple(prefix(self.instance, table) for table in tables)
        ours = prefix(self.instance)
        return self.reap(
            monitor
            for name, monitor in found.ids.items()
            if name.startswith(ours) and not name.startswith(kept)
        )


def key_of(cluster: Cluster, said: str) -> str:
    """Return what a cluster's word on tables is kept under: its URL, and what it says it is."""
    return f"{cluster.url} {said}".rstrip()


def _topics(each: _Making) -> dict[bytes, Route]:
    return {each.ids[event].encode(): route for event, route in each.routes.items()}


def _same(before: Facts, after: Facts) -> bool:
    """Whether nothing tells that a table changed between two looks."""
    return (
        before.type_id == after.type_id
        and before.alter_count == after.alter_count
        and not made_again(before.identity, after.identity)
    )
