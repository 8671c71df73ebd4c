"""A stand-in Kinetica 7.2 in this process: its HTTP API, its table monitors, its faults."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from kinetica_emulator import network
from kinetica_emulator.database import Database
from kinetica_emulator.endpoints import Endpoint
from kinetica_emulator.faults import Faults
from kinetica_emulator.identity import Identity
from kinetica_emulator.publisher import Publisher
from kinetica_emulator.server import RingLink, Server, Service

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
        monitor_port: ZeroMQ port, 0 for a free one.
        username, password: credentials to ask for; None lets everybody in.
        monitor_queue: most messages kept for one slow subscriber, 0 for no limit; those beyond
            are dropped without a word, as a cluster does.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        monitor_port: int = 0,
        username: str | None = None,
        password: str | None = None,
        monitor_queue: int = DEFAULT_MONITOR_QUEUE,
    ) -> None:
        self._host = host
        self._port = port
        self._monitor_port = monitor_port
        self._monitor_queue = monitor_queue
        self._faults = Faults()
        self._database = Database(self._publish)
        self._identity = Identity("", host in _EVERYWHERE, 0)
        credentials = None if username is None else (username, password or "")
        self._service = Service(self._database, self._identity, self._faults, credentials)
        self._silent = False
        # Guards starting and stopping.
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._publisher: Publisher | None = None

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
        return self._server is not None

    @property
    def reachable(self) -> bool:
        """Whether the other clusters of its ring can reach it."""
        return self.running and not self._silent

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
            if self._server is not None:
                return
            publisher = Publisher(self._host, self._monitor_port, self._monitor_queue)
            try:
                server = Server(self._host, self._port, self._service)
            except BaseException:
                publisher.stop()
                raise
            self._port, self._monitor_port = server.server_address[1], publisher.port
            shown = "127.0.0.1" if self._host in _EVERYWHERE else self._host
            self._identity.url = f"http://{shown}:{self._port}"
            self._identity.monitor_port = publisher.port
            self._silent = False
            self._server, self._publisher = server, publisher
            self._service.link.returning()
            publisher.start()
            server.start()

    def stop(self) -> None:
        """Cut every connection and stop listening; data and monitors stay."""
        with self._lock:
            server, publisher = self._server, self._publisher
            self._server = self._publisher = None
            self._faults.clear()
            if server is not None:
                server.stop()
            if publisher is not None:
                publisher.stop()

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

    def drop_connections(self) -> None:
        """Cut every connection there is, HTTP and ZeroMQ, once; new ones are welcome."""
        server, publisher = self._server, self._publisher
        if server is not None:
            server.drop_connections()
        if publisher is not None:
            for descriptor in publisher.descriptors():
                network.shut(descriptor, self._monitor_port)

    def go_silent(self) -> None:
        """Vanish from the network: no packet is taken or answered, connections stay half open.

        Notifications are lost meanwhile, and new connections time out.

        Raises:
            EmulatorError: this system cannot do that; Linux can.
        """
        server, publisher = self._server, self._publisher
        if server is None or publisher is None:
            return
        network.require_filters()
        self._silent = publisher.discarding = True
        server.audible.clear()
        for descriptor, port in self._descriptors():
            network.silence(descriptor, port)

    def drain(self, draining: bool = True) -> None:
        """Answer as a cluster that catches up with its ring before it serves."""
        self._identity.draining = draining

    def forget_monitors(self) -> None:
        """Drop every table monitor, silently."""
        with self._database.lock:
            self._database.monitors.clear()

    def lose_notifications(self) -> None:
        """Lose what is published, unseen, as a publisher with a full queue does."""
        if self._publisher is not None:
            self._publisher.discarding = True

    def heal(self) -> None:
        """End every fault that lasts."""
        self._faults.clear()
        self._identity.draining = False
        server, publisher = self._server, self._publisher
        if publisher is not None:
            publisher.discarding = False
        if server is not None and self._silent:
            self._silent = False
            self._service.link.returning()
            for descriptor, port in self._descriptors():
                network.restore(descriptor, port)
            server.audible.set()

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

    def _descriptors(self) -> list[tuple[int, int]]:
        """Return every TCP socket with its local port."""
        server, publisher = self._server, self._publisher
        if server is None or publisher is None:
            return []
        return [
            *((each.fileno(), self._port) for each in (server.socket, *server.connections())),
            *((descriptor, self._monitor_port) for descriptor in publisher.descriptors()),
        ]

    def _publish(self, topic: bytes, frames: Sequence[bytes]) -> None:
        publisher = self._publisher
        if publisher is not None:
            publisher.publish(topic, frames)
