"""The ZeroMQ side: one thread that owns the publishing socket and sends what it is handed.

The socket is an XPUB, which looks like a PUB from outside and tells who subscribes, so that
others can await a subscription instead of guessing. Notifications are handed over in a deque;
a byte in a socket pair wakes the thread. Source: protocol, section 4.2.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from kinetica_emulator import network
from kinetica_emulator.errors import EmulatorError

# When it was handed over (monotonic seconds), its topic, its frames.
_Notification = tuple[float, bytes, Sequence[bytes]]


class Publisher(threading.Thread):
    """The thread that publishes.

    It owns the socket; it waits for notifications, subscriptions and connections; `stop` ends it
    within a moment, unsent messages discarded.

    Args:
        hosts: addresses to bind.
        port: port to bind, 0 for a free one; `port` has the real one afterwards.
        queue: most messages kept for one slow subscriber, then its newer ones are dropped.

    Raises:
        EmulatorError: the port cannot be bound.
    """

    def __init__(self, hosts: Sequence[str], port: int, queue: int) -> None:
        super().__init__(name="emulator-publisher", daemon=True)
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, queue)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._events = self._socket.get_monitor_socket(
            zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
        )
        self._socket.setsockopt(zmq.IPV6, int(any(":" in host for host in hosts)))
        self.port = port
        for host in hosts:
            self._bind(host)
        self._outgoing: deque[_Notification] = deque()
        self._stopping = False
        # While set, notifications are lost, as on a cut network.
        self.discarding = False
        # Seconds for which each notification is kept back.
        self.delay = 0.0
        # Guards the three below, and wakes whoever awaits a change of theirs.
        self._changed = threading.Condition()
        self._subscriptions: Counter[bytes] = Counter()
        self._descriptors: set[int] = set()
        self._idle = True

    def publish(self, topic: bytes, frames: Sequence[bytes]) -> None:
        """Hand over one notification; returns at once, from any thread."""
        self._outgoing.append((time.monotonic(), topic, frames))
        self._wake()

    def keep_back(self, seconds: float) -> None:
        """Send every notification so much later, those that wait already included."""
        self.delay = seconds
        self._wake()

    def stop(self) -> None:
        """End the thread and close the socket; idempotent."""
        self._stopping = True
        self._wake()
        if self.ident is None:
            self._close()
        elif self is not threading.current_thread():
            self.join()

    def wait_for_subscriber(self, topic: bytes, timeout: float) -> bool:
        """Wait until someone subscribes to exactly `topic`; False if nobody did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._subscriptions[topic] > 0, timeout)

    def wait_sent(self, timeout: float) -> bool:
        """Wait until nothing handed over is left to send; False if something is in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._outgoing, timeout)

    def subscriptions(self) -> dict[bytes, int]:
        """Return how many subscriptions each topic has."""
        with self._changed:
            return {topic: count for topic, count in self._subscriptions.items() if count > 0}

    def descriptors(self) -> list[int]:
        """Return the file descriptors of the listening socket and of the connections."""
        with self._changed:
            return list(self._descriptors)

    def run(self) -> None:
        """Send, and note subscriptions and connections, until stopped."""
        poller = zmq.Poller()
        for waited in (self._socket, self._events, self._wake_receiver.fileno()):
            poller.register(waited, zmq.POLLIN)
        try:
            while not self._stopping:
                poller.poll(self._wait_ms())
                self._drain_wakes()
                self._note_connections()
                self._note_subscriptions()
                self._send()
        finally:
            self._close()

    def _bind(self, host: str) -> None:
        address = f"[{host}]" if ":" in host else host
        try:
            self._socket.bind(f"tcp://{address}:{self.port}")
        except zmq.ZMQError as error:
            self._close()
            raise EmulatorError(
                f"cannot publish on {host}:{self.port}: {error.strerror}",
                hint="choose another monitor port, or 0 for a free one",
            ) from error
        endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(endpoint.rpartition(":")[2])

    def _wait_ms(self) -> int | None:
        """Return how long there is nothing to send that is known of, None for any time."""
        if not self._outgoing:
            return None
        due = self._outgoing[0][0] + self.delay
        return max(0, math.ceil((due - time.monotonic()) * 1000))

    def _wake(self) -> None:
        # A full pair means that a wake is under way already; a closed one that nobody is left.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"\0")

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_receiver.recv(4096):
                pass

    def _note_subscriptions(self) -> None:
        for message in self._received(self._socket):
            with self._changed:
                self._subscriptions[message[1:]] += 1 if message[0] else -1
                self._changed.notify_all()

    def _note_connections(self) -> None:
        while self._events.poll(0):
            event = recv_monitor_message(self._events)
            with self._changed:
                if event["event"] in (zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED):
                    self._descriptors.add(event["value"])
                    if self.discarding:
                        network.silence(event["value"], self.port)
                else:
                    self._descriptors.discard(event["value"])
                self._changed.notify_all()

    @staticmethod
    def _received(socket_: zmq.Socket[bytes]) -> Iterator[bytes]:
        with contextlib.suppress(zmq.Again):
            while True:
                yield socket_.recv(zmq.NOBLOCK)

    def _send(self) -> None:
        if not self._outgoing:
            return
        self._idle = False
        while self._outgoing and not self._stopping:
            if self.delay and self._outgoing[0][0] + self.delay > time.monotonic():
                break
            _, topic, frames = self._outgoing.popleft()
            if not self.discarding:
                self._socket.send_multipart([topic, *frames])
        with self._changed:
            self._idle = True
            self._changed.notify_all()

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._context.destroy(linger=0)
        for end in (self._wake_receiver, self._wake_sender):
            end.close()
