"""Where a cluster listens: HTTP servers, one for each address, and the publisher of monitors."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from kinetica_emulator import network
from kinetica_emulator.publisher import Publisher
from kinetica_emulator.server import Server, Service


@dataclass(slots=True)
class Address:
    """One address that answers HTTP: host and port, 0 until a free one was found."""

    host: str
    port: int

    def url(self, shown: str = "") -> str:
        """Return the URL, under the name `shown` if one is given."""
        host = shown or self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Listening:
    """The sockets of one cluster while it runs; not thread-safe.

    Args:
        addresses: that answer HTTP; get their ports.
        monitor_hosts: addresses of the table monitors' port.
        monitor_port: of the table monitors, 0 for a free one.
        monitor_queue: most messages kept for one slow subscriber.
        service: what answers.

    Raises:
        EmulatorError: a port is taken.
    """

    def __init__(
        self,
        addresses: list[Address],
        monitor_hosts: list[str],
        monitor_port: int,
        monitor_queue: int,
        service: Service,
    ) -> None:
        self._monitor_hosts = monitor_hosts
        self._queue = monitor_queue
        self._service = service
        self._silent_listeners: list[socket.socket] = []
        self.silent = False
        self.servers: list[Server] = []
        self.publisher: Publisher | None = Publisher(monitor_hosts, monitor_port, monitor_queue)
        self.monitor_port = self.publisher.port
        try:
            for address in addresses:
                self._bind(address)
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Serve and publish."""
        if self.publisher is not None:
            self.publisher.start()
        for server in self.servers:
            server.start()

    def stop(self) -> None:
        """Cut every connection and stop listening."""
        for server in self.servers:
            server.stop()
        self._leave_monitor_port()

    def add(self, address: Address) -> None:
        """Answer HTTP at another address too.

        Raises:
            EmulatorError: the port is taken.
        """
        self._bind(address)
        self.servers[-1].start()

    def close_monitor_port(self) -> None:
        """Refuse connections to the monitors' port; those there are end."""
        self._leave_monitor_port()

    def mute_monitor_port(self) -> None:
        """Let connections to the monitors' port be established, and say nothing on them."""
        self._leave_monitor_port()
        for host in self._monitor_hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, self.monitor_port))
            # Nobody accepts: the system completes the connections by itself.
            listener.listen(128)
            self._silent_listeners.append(listener)

    def open_monitor_port(self, hosts: list[str] | None = None) -> None:
        """Publish on the monitors' port again, at other addresses if some are given."""
        if self.publisher is not None and hosts is None:
            return
        if hosts is not None:
            self._monitor_hosts = hosts
        self._leave_monitor_port()
        self.publisher = Publisher(self._monitor_hosts, self.monitor_port, self._queue)
        self.publisher.discarding = self.silent
        self.publisher.start()

    def drop_connections(self) -> None:
        """Cut every connection there is."""
        for server in self.servers:
            server.drop_connections()
        if self.publisher is not None:
            for descriptor in self.publisher.descriptors():
                network.shut(descriptor, self.monitor_port)

    def go_silent(self) -> None:
        """Take and send no packet any more.

        Raises:
            EmulatorError: this system cannot do that.
        """
        network.require_filters()
        self.silent = True
        if self.publisher is not None:
            self.publisher.discarding = True
        for server in self.servers:
            server.audible.clear()
        for descriptor, port in self._descriptors():
            network.silence(descriptor, port)

    def be_heard(self) -> None:
        """End the silence."""
        self.silent = False
        for descriptor, port in self._descriptors():
            network.restore(descriptor, port)
        for server in self.servers:
            server.audible.set()

    def _bind(self, address: Address) -> None:
        server = Server(address.host, address.port, self._service)
        address.port = server.server_address[1]
        self.servers.append(server)

    def _leave_monitor_port(self) -> None:
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            publisher.stop()
        for listener in self._silent_listeners:
            with contextlib.suppress(OSError):
                listener.close()
        self._silent_listeners.clear()

    def _descriptors(self) -> list[tuple[int, int]]:
        """Return every TCP socket with its local port."""
        found = [
            (each.fileno(), server.server_address[1])
            for server in self.servers
            for each in (server.socket, *server.connections())
        ]
        if self.publisher is not None:
            found += [(each, self.monitor_port) for each in self.publisher.descriptors()]
        return found
