"""The polling thread: it owns every ZeroMQ socket, receives, and hands on; nothing else.

Tables share *channels*: a SUB socket and its socket monitor, with at most 64 topics, since
libzmq re-sends a socket's subscriptions under the high-water mark after a reconnect and can
drop some. Other threads talk to this one through an inproc socket. Every socket is polled at
least once a second: a reconnected SUB socket that nobody touches stays deaf (protocol,
section 4.5).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

import structlog
import zmq
from zmq.utils.monitor import recv_monitor_message

from bridge.monitor.holding import Holding

log = structlog.get_logger()

MAX_TOPICS = 64
# A table's monitors share one channel, so that they are lost and found together.
TOPICS_PER_TABLE = 3

# A peer that sends nothing, not even a heartbeat, is given up after interval + timeout.
HEARTBEAT_INTERVAL = 5.0
HEARTBEAT_TIMEOUT = 10.0
HEARTBEAT_HORIZON = HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT

# Messages libzmq may hold per channel while this thread is busy. Finite: unbounded memory
# is worse than a loss at the publisher, and the intake has a byte budget of its own.
RECEIVE_HIGH_WATER_MARK = 50_000

# What one visit to a channel takes before the others have their turn.
_DRAIN_MESSAGES = 2_000
_DRAIN_BYTES = 4 * 2**20

_EVENTS = (
    zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
)

R = TypeVar("R")


class Notification(NamedTuple, Generic[R]):
    """One multipart message without its topic.

    Attributes:
        route: what was registered for its topic.
        frames: its records, one Avro object each.
        time: when it was received, microseconds since the epoch.
        size: bytes of all frames.
    """

    route: R
    frames: list[bytes]
    time: int
    size: int


@dataclass(eq=False, slots=True)
class Channel:
    """A SUB socket as other threads may see it. Written by the polling thread alone.

    Times are seconds since the epoch; None where it never happened. `losses` counts how
    often the connection was lost, `whole_until` is explained at `lose`.
    """

    endpoint: str
    socket: zmq.Socket[bytes] = field(repr=False)
    events: zmq.Socket[bytes] = field(repr=False)
    topics: set[bytes] = field(default_factory=set)
    connected_at: float | None = None
    lost_at: float | None = None
    heard_at: float | None = None
    losses: int = 0
    whole_until: float = 0.0
    waiting: list[Future[Channel]] = field(default_factory=list, repr=False)

    @property
    def connected(self) -> bool:
        """Whether the ZeroMQ handshake stands."""
        return self.connected_at is not None and self.lost_at is None

    def lose(self, now: float) -> None:
        """Note that the connection is gone.

        It may have been dead for as long as its heartbeat allows, unless something was
        heard on it since: `whole_until` is when all that was published had arrived.
        """
        known = max(self.connected_at or 0.0, self.heard_at or 0.0)
        self.whole_until = max(known, now - HEARTBEAT_HORIZON)
        self.lost_at = now
        self.losses += 1


class Subscriber(Generic[R]):
    """One thread that polls the sockets of all tables.

    Waits on its sockets; ends within a second of `stop`, which any thread may call.

    Args:
        receive: called in the polling thread with what was received; must not block.
        changed: called in the polling thread when a channel connects or is lost.
    """

    def __init__(
        self, receive: Callable[[list[Notification[R]]], None], changed: Callable[[], None]
    ) -> None:
        self._receive = receive
        self._changed = changed
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._commands: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._wake_lock = threading.Lock()  # guards _wake, which any thread may use
        self._wake: zmq.Socket[bytes] | None = self._context.socket(zmq.PAIR)
        self._woken: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        self._woken.bind("inproc://wake")
        self._wake.connect("inproc://wake")
        self._poller = zmq.Poller()
        self._poller.register(self._woken, zmq.POLLIN)
        self._channels: list[Channel] = []
        self._routes: dict[bytes, R] = {}
        self._holding: Holding[Notification[R]] = Holding()
        self._unknown_topics: set[bytes] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self.unknown_messages = 0

    def start(self) -> None:
        """Start the polling thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the polling thread and close every socket; may be called twice."""
        if self._thread.is_alive():
            self._ask(self._stop)
            self._thread.join(timeout=5)
        elif self._thread.ident is None:
            self._context.destroy(linger=0)

    def subscribe(
        self, endpoint: str, routes: Mapping[bytes, R], *, held: bool = False
    ) -> Future[Channel]:
        """Subscribe a table's topics at one endpoint.

        Args:
            endpoint: where.
            routes: what each topic means.
            held: keep back what arrives on them until `release`.

        Returns:
            A future of the channel, done once its ZeroMQ handshake stands.
        """
        future: Future[Channel] = Future()
        self._ask(self._subscribe, endpoint, dict(routes), held, future)
        return future

    def release(self, topics: set[bytes]) -> Future[bool]:
        """Hand on what was held of topics, and from now on what arrives.

        Returns:
            A future of whether that was all: False where it was too much to be held.
        """
        future: Future[bool] = Future()
        self._ask(self._release, set(topics), future)
        return future

    def unsubscribe(self, topics: set[bytes]) -> Future[None]:
        """Hand on what has arrived on topics, but for what is held, then forget them.

        A channel without any topic is closed.

        Returns:
            A future, done when nothing more will come of them.
        """
        future: Future[None] = Future()
        self._ask(self._unsubscribe, set(topics), future)
        return future

    def _ask(self, command: Callable[..., Any], *args: Any) -> None:
        self._commands.put((command, args))
        with self._wake_lock:
            if self._wake is not None:
                self._wake.send(b"")

    # The rest runs in the polling thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                ready = dict(self._poller.poll(1000))
                if self._woken in ready:
                    self._woken.recv()
                    command, args = self._commands.get()
                    command(*args)
                for channel in tuple(self._channels):
                    if channel.events in ready:
                        self._note_event(channel)
                    if channel.socket in ready:
                        self._drain(channel)
            for channel in self._channels:
                while self._drain(channel):  # what was sent before the monitors were cleared
                    pass
        finally:
            for channel in tuple(self._channels):
                self._close(channel)
            with self._wake_lock:
                self._context.destroy(linger=0)
                self._wake = None

    def _stop(self) -> None:
        self._stopping = True

    def _subscribe(
        self, endpoint: str, routes: dict[bytes, R], held: bool, future: Future[Channel]
    ) -> None:
        self._routes.update(routes)
        if held:
            self._holding.begin(routes.keys())
        channel = next(
            (
                c
                for c in self._channels
                if c.endpoint == endpoint and len(c.topics | routes.keys()) <= MAX_TOPICS
            ),
            None,
        )
        try:
            channel = channel or self._open(endpoint)
        except zmq.ZMQError as error:
            future.set_exception(error)
            return
        for topic in routes.keys() - channel.topics:
            channel.socket.subscribe(topic)
        channel.topics |= routes.keys()
        if channel.connected:
            future.set_result(channel)
        else:
            channel.waiting.append(future)

    def _unsubscribe(self, topics: set[bytes], future: Future[None]) -> None:
        for channel in tuple(self._channels):
            ours = channel.topics & topics
            if ours:
                while self._drain(channel):
                    pass
            for topic in ours:
                channel.socket.unsubscribe(topic)
            channel.topics -= ours
            if not channel.topics:
                self._close(channel)
        for topic in topics:
            self._routes.pop(topic, None)
        self._holding.end(topics)
        future.set_result(None)

    def _release(self, topics: set[bytes], future: Future[bool]) -> None:
        held, whole = self._holding.end(topics)
        if held:
            self._receive(held)
        future.set_result(whole)

    def _open(self, endpoint: str) -> Channel:
        socket = self._context.socket(zmq.SUB)
        try:
            socket.linger = 0
            socket.rcvhwm = RECEIVE_HIGH_WATER_MARK
            socket.setsockopt(zmq.HEARTBEAT_IVL, int(HEARTBEAT_INTERVAL * 1000))
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(HEARTBEAT_TIMEOUT * 1000))
            socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
            socket.setsockopt(zmq.RECONNECT_IVL, 100)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
            socket.setsockopt(zmq.CONNECT_TIMEOUT, 5000)
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
            socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
            socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
            socket.setsockopt(zmq.IPV6, 1)
            # The socket monitor is attached before connecting, so that no event is missed.
            events = socket.get_monitor_socket(_EVENTS)
            socket.connect(endpoint)
        except zmq.ZMQError:
            socket.close(0)
            raise
        channel = Channel(endpoint, socket, events)
        self._channels.append(channel)
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(events, zmq.POLLIN)
        return channel

    def _close(self, channel: Channel) -> None:
        self._channels.remove(channel)
        self._poller.unregister(channel.socket)
        self._poller.unregister(channel.events)
        channel.socket.disable_monitor()
        channel.events.close(0)
        channel.socket.close(0)
        if channel.connected:
            channel.lose(time.time())
        for future in channel.waiting:
            future.cancel()

    def _note_event(self, channel: Channel) -> None:
        event = recv_monitor_message(channel.events)["event"]
        if event == zmq.Event.HANDSHAKE_SUCCEEDED:
            channel.connected_at, channel.lost_at = time.time(), None
            log.info("monitor_port_connected", endpoint=channel.endpoint)
            waiting, channel.waiting = channel.waiting, []
            for future in waiting:
                if future.set_running_or_notify_cancel():
                    future.set_result(channel)
        elif event == zmq.Event.DISCONNECTED and channel.connected:
            channel.lose(time.time())
            log.warning("monitor_port_lost", endpoint=channel.endpoint)
        elif event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
            log.warning("monitor_port_handshake_failed", endpoint=channel.endpoint)
        self._changed()

    def _drain(self, channel: Channel) -> bool:
        """Hand on what has arrived on a channel; False if that was nothing."""
        receive = channel.socket.recv_multipart
        routes = self._routes
        received: list[Notification[R]] = []
        drained = False
        budget = _DRAIN_BYTES
        now = time.time_ns() // 1000
        for _ in range(_DRAIN_MESSAGES):
            try:
                frames = receive(zmq.NOBLOCK)
            except zmq.Again:
                break
            topic = frames.pop(0)
            # SUBSCRIBE matches prefixes: another topic's messages may arrive here too.
            route = routes.get(topic)
            if route is None:
                self._note_unknown(topic)
                continue
            size = sum(map(len, frames))
            notification = Notification(route, frames, now, size)
            if not self._holding.holds(topic, notification, size):
                received.append(notification)
            drained = True
            budget -= size
            if budget < 0:
                break
        channel.heard_at = now / 1e6
        if received:
            self._receive(received)
        return drained

    def _note_unknown(self, topic: bytes) -> None:
        self.unknown_messages += 1
        if topic not in self._unknown_topics and len(self._unknown_topics) < 1000:
            self._unknown_topics.add(topic)
            log.warning("unknown_topic", topic=topic.decode("utf-8", "backslashreplace")[:200])
