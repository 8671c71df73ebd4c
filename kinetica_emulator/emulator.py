"""A stand-in Kinetica 7.2 in this process: its HTTP API, its table monitors, its faults."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from kinetica_emulator.columns import build_type, opaque_type
from kinetica_emulator.controls import Controls
from kinetica_emulator.database import Database, Unpublished
from kinetica_emulator.endpoints import Endpoint
from kinetica_emulator.errors import EmulatorError
from kinetica_emulator.faults import Faults
from kinetica_emulator.identity import Identity
from kinetica_emulator.listening import Address, Listening
from kinetica_emulator.monitors import EVENTS
from kinetica_emulator.publisher import Publisher
from kinetica_emulator.server import RingLink, Service
from kinetica_emulator.traits import Traits

_EVERYWHERE = ("0.0.0.0", "")  # noqa: S104 (compared with, not bound)
# Messages kept for one slow subscriber. A server has such a limit; how high is not documented.
DEFAULT_MONITOR_QUEUE = 100_000


class Emulator:
    """One emulated cluster.

    A context manager; `start` and `stop` are idempotent, and what is stored, monitors included,
    survives a stop, as do the ports.

    Args:
        host: address to listen on.
        port: HTTP port, 0 for a free one.
        monitor_host: address of the table monitors' port; that of HTTP if None.
        monitor_port: ZeroMQ port, 0 for a free one.
        username, password: credentials to ask for; None lets everybody in.
        monitor_queue: most messages kept for one slow subscriber, 0 for no limit; those beyond
            are dropped without a word, as a cluster does.
        traits: what kind of server it is; a current one if None.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        monitor_host: str | None = None,
        monitor_port: int = 0,
        username: str | None = None,
        password: str | None = None,
        monitor_queue: int = DEFAULT_MONITOR_QUEUE,
        traits: Traits | None = None,
    ) -> None:
        self._host = host
        # The first is the one that the cluster says it has.
        self._addresses = [Address(host, port)]
        self._monitor_hosts = [host if monitor_host is None else monitor_host]
        self._monitor_port = monitor_port
        self._monitor_queue = monitor_queue
        self.traits = Traits() if traits is None else replace(traits)
        self._faults = Faults()
        self._database = Database(self._publish, self.traits)
        self._identity = Identity("", host in _EVERYWHERE, 0)
        credentials = None if username is None else (username, password or "")
        self._service = Service(self._database, self._identity, self._faults, credentials)
        self._service.control = Controls(self).answer
        # Guards starting, stopping, and where it listens.
        self._lock = threading.RLock()
        self._listening: Listening | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Emulator {self._identity.url or self._host} {state}>"

    @property
    def url(self) -> str:
        """Where it answers HTTP; known once it was started."""
        return self._identity.url

    @property
    def monitor_port(self) -> int:
        """Where it publishes; known once it was started."""
        return self._monitor_port

    @property
    def running(self) -> bool:
        """Whether it is started."""
        return self._listening is not None

    @property
    def reachable(self) -> bool:
        """Whether the other clusters of its ring can reach it."""
        listening = self._listening
        return listening is not None and not listening.silent

    @property
    def database(self) -> Database:
        """What it stores; take `database.lock` around any use."""
        return self._database

    def start(self) -> None:
        """Listen, on the same ports as before if it was started before.

        Raises:
            EmulatorError: a port is taken.
        """
        with self._lock:
            if self._listening is not None:
                return
            listening = Listening(
                self._addresses,
                self._monitor_hosts,
                self._monitor_port,
                self._monitor_queue,
                self._service,
            )
            self._monitor_port = listening.monitor_port
            shown = "127.0.0.1" if self._host in _EVERYWHERE else ""
            self._identity.url = self._addresses[0].url(shown)
            self._identity.monitor_port = self._monitor_port
            self._listening = listening
            self._service.link.returning()
            listening.start()

    def stop(self) -> None:
        """Cut every connection and stop listening; data and monitors stay."""
        with self._lock:
            listening, self._listening = self._listening, None
            self._faults.clear()
            if listening is not None:
                listening.stop()

    def restart(self) -> None:
        """Stop and start, as a database does that is restarted."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and let go of the data; it cannot be started again."""
        self.stop()
        self._database.close()

    def publish(self, topic: str | bytes, frames: Sequence[bytes]) -> None:
        """Publish one raw message: a topic, and any frames at all."""
        self._publish(topic.encode() if isinstance(topic, str) else topic, frames)

    def wait_for_subscriber(self, topic: str, timeout: float = 10.0) -> bool:
        """Wait until someone subscribes to exactly `topic`; False if nobody did in time."""
        publisher = self._publisher
        return publisher is not None and publisher.wait_for_subscriber(topic.encode(), timeout)

    def wait_published(self, timeout: float = 10.0) -> bool:
        """Wait until libzmq has been given all notifications there are; False if not in time."""
        publisher = self._publisher
        return publisher is None or publisher.wait_sent(timeout)

    def subscriptions(self) -> dict[bytes, int]:
        """Return how many subscriptions each topic has."""
        publisher = self._publisher
        return {} if publisher is None else publisher.subscriptions()

    def listen_also(self, host: str, port: int | None = None, *, monitors: bool = True) -> str:
        """Answer at one more address as the same cluster, from now on; return its URL.

        Args:
            host: address to listen on.
            port: HTTP port, 0 for a free one, None for that of the first address.
            monitors: publish there too, on the one monitor port; cuts the subscribers there are.

        Raises:
            EmulatorError: it is not started, or the port is taken.
        """
        with self._lock:
            if self._listening is None:
                raise EmulatorError("an emulator that is stopped listens nowhere")
            address = Address(host, self._addresses[0].port if port is None else port)
            self._listening.add(address)
            self._addresses.append(address)
            if monitors and host not in self._monitor_hosts:
                self._monitor_hosts.append(host)
                self._listening.open_monitor_port(self._monitor_hosts)
            return address.url()

    # Faults: each lasts until `heal`, except those that are over at once.

    def fail(
        self, status: int = 500, endpoints: Iterable[str] = (), *, after: bool = False
    ) -> None:
        """Answer with an HTTP status.

        Args:
            status: the status.
            endpoints: paths it concerns; none for all, pings included.
            after: carry the call out first, so that only the answer is lost.
        """
        self._faults.set(status=status, endpoints=endpoints, after=after)

    def hang(self, endpoints: Iterable[str] = (), *, after: bool = False) -> None:
        """Take requests and keep them waiting; arguments as of `fail`."""
        self._faults.set(hanging=True, endpoints=endpoints, after=after)

    def drop_requests(self, endpoints: Iterable[str] = (), *, after: bool = False) -> None:
        """Close the connection instead of answering; arguments as of `fail`."""
        self._faults.set(dropping=True, endpoints=endpoints, after=after)

    def refuse(self, message: str, endpoints: Iterable[str] = (), *, after: bool = False) -> None:
        """Answer with an ERROR reply of this text; other arguments as of `fail`."""
        self._faults.set(refusal=message, endpoints=endpoints, after=after)

    def drop_connections(self) -> None:
        """Cut every connection there is, HTTP and ZeroMQ, once; new ones are welcome."""
        if self._listening is not None:
            self._listening.drop_connections()

    def go_silent(self) -> None:
        """Vanish from the network: no packet is taken or answered, connections stay half open.

        Notifications are lost meanwhile, and new connections time out.

        Raises:
            EmulatorError: this system cannot do that; Linux can.
        """
        if self._listening is not None:
            self._listening.go_silent()

    def close_monitor_port(self) -> None:
        """Refuse connections to the monitor port, while HTTP goes on; notifications are lost."""
        with self._lock:
            if self._listening is not None:
                self._listening.close_monitor_port()

    def mute_monitor_port(self) -> None:
        """Let connections to the monitor port be made, and never shake hands on them."""
        with self._lock:
            if self._listening is not None:
                self._listening.mute_monitor_port()

    def drain(self, draining: bool = True) -> None:
        """Answer as a cluster that catches up with its ring before it serves."""
        self._identity.draining = draining

    def lose_notifications(self) -> None:
        """Lose what is published, unseen, as a publisher with a full queue does."""
        if self._publisher is not None:
            self._publisher.discarding = True

    def delay_notifications(self, seconds: float) -> None:
        """Publish everything so many seconds late, in order; healing sends what waits."""
        if self._publisher is not None:
            self._publisher.keep_back(seconds)

    def skip_notifications(
        self,
        changes: int | None = None,
        tables: Iterable[str] = (),
        events: Iterable[str] = EVENTS,
    ) -> None:
        """Store changes of rows without publishing them; takes the place of the last request.

        Args:
            changes: how many, None for all until healed. An upsert that inserts and updates
                is two.
            tables: qualified names of the tables concerned; none for all.
            events: insert, update and delete, or some of them.
        """
        with self._database.lock:
            self._database.unpublished = Unpublished(frozenset(tables), frozenset(events), changes)

    def forbid(self, permission: str, on: str = "") -> None:
        """Forbid something to everybody.

        Args:
            permission: `table_read`, `monitor_create`, `monitor_admin` and the like.
            on: a table, or a schema with all that is in it; empty for everything.
        """
        with self._database.lock:
            self._database.permissions.forbid(permission, on)

    def heal(self) -> None:
        """End every fault that lasts."""
        self._faults.clear()
        self._identity.draining = False
        with self._database.lock:
            self._database.unpublished = None
            self._database.permissions.lift()
        with self._lock:
            listening = self._listening
            if listening is None:
                return
            listening.open_monitor_port()
            if listening.publisher is not None:
                listening.publisher.discarding = False
                listening.publisher.keep_back(0.0)
            if listening.silent:
                self._service.link.returning()
                listening.be_heard()

    # What happens on the server at once and without a word, and to no other cluster of its ring.

    def forget_monitors(self) -> None:
        """Drop every table monitor, as a clean-up job may."""
        with self._database.lock:
            self._database.monitors.clear()

    def recreate(self, table: str) -> None:
        """Drop a table and make it again alike, empty, with nobody able to look in between."""
        with self._database.lock:
            before = self._database.table(table)
            self._database.drop_table(before.name)
            after = self._database.create_table(before.name, before.kind)
            after.descriptions, after.ttl = before.descriptions, before.ttl

    def truncate_silently(self, table: str) -> None:
        """Delete all rows of a table; counted as a write, published to nobody."""
        with self._database.lock:
            found = self._database.table(table)
            with self._database.rows.transaction():
                self._database.rows.clear(found.name)
            self._database.note_write(found)

    def drop_here(self, table: str) -> None:
        """Drop a table on this cluster alone."""
        with self._database.lock:
            self._database.drop_table(table)

    def add_neighbour(
        self, name: str, type_schema: str = "", descriptions: Iterable[str] = ()
    ) -> None:
        """Put a table beside the others whose layout nobody expects.

        Args:
            name: its name.
            type_schema: what is told as its schema, as it stands: empty, a union the other way
                round, a type nobody knows.
            descriptions: what it is, like MATERIALIZED_VIEW.
        """
        with self._database.lock:
            table = self._database.create_table(name, opaque_type(type_schema))
            table.descriptions = tuple(descriptions)

    def crowd(self, schema: str, tables: int, columns: int) -> None:
        """Put many ordinary tables into a schema, `neighbour_0` and on, with so many columns."""
        names = [f"column_{number}" for number in range(columns)]
        kind = build_type([(name, "string", True) for name in names], {})
        with self._database.lock:
            self._database.create_schema(schema, if_missing=True)
            for number in range(tables):
                self._database.create_table(f"{schema}.neighbour_{number}", kind)

    # Users: whoever is none of them and gets in may do everything.

    def add_user(self, name: str, password: str) -> None:
        """Make a user, who may do what is granted and nothing else."""
        with self._database.lock:
            self._database.permissions.add_user(name, password)

    def grant(self, user: str, permission: str, on: str = "") -> None:
        """Let a user do something; arguments as of `forbid`."""
        with self._database.lock:
            self._database.permissions.grant(user, permission, on)

    def revoke(self, user: str, permission: str, on: str = "") -> None:
        """Take back exactly one grant."""
        with self._database.lock:
            self._database.permissions.revoke(user, permission, on)

    def join_ring(self, urls: Sequence[str], link: RingLink) -> None:
        """Tell clients of a ring, and the ring of every call that changes something."""
        self._identity.ring = tuple(urls)
        self._service.link = link

    def carry_out(self, endpoint: Endpoint, request: Mapping[str, Any]) -> None:
        """Run a call of another cluster of the ring, without telling the ring.

        Raises:
            RequestError: it is refused here.
        """
        self._service.carry_out(endpoint, request)

    @property
    def _publisher(self) -> Publisher | None:
        listening = self._listening
        return None if listening is None else listening.publisher

    def _publish(self, topic: bytes, frames: Sequence[bytes]) -> None:
        publisher = self._publisher
        if publisher is not None:
            publisher.publish(topic, frames)
