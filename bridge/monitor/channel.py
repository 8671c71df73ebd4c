"""A SUB socket that tables share, and the socket monitor that tells of its connection."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
import zmq
from zmq.utils.monitor import parse_monitor_message

from bridge.monitor.arrivals import Receiver
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.receiver import make_receiver

log = structlog.get_logger()

# A peer that sends nothing, not even a heartbeat, is given up after interval + timeout.
HEARTBEAT_INTERVAL = 5.0
HEARTBEAT_TIMEOUT = 10.0
HEARTBEAT_HORIZON = HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT

# Messages that libzmq may hold for a channel. It counts messages, however large they are, so
# the mark is low; what comes faster than it is taken waits in the kernel, counted in bytes.
RECEIVE_HIGH_WATER_MARK = 1_000

_EVENTS = (
    zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
)


# Losses of a connection that are remembered one by one.
_LOSSES = 100


class Line(NamedTuple):
    """A channel's connection at one moment, to be read once and then decided on.

    Attributes:
        connected_at: since when the ZeroMQ handshake stands, None while it does not.
        emptied_at: all that had come by then was handed on.
        losses: how often the connection was lost.
        whole_until: of the latest losses, in their order, when all that was published had arrived.
        closed: whether it is closed for good.
    """

    connected_at: Moment | None = None
    emptied_at: Moment = NEVER
    losses: int = 0
    whole_until: tuple[Moment, ...] = ()
    closed: bool = False

    def missed_since(self, losses: int) -> Moment | None:
        """Return since when something may be missed by who knows of so many losses.

        None where nothing is; NEVER where it lost count.
        """
        if losses == self.losses:
            return None
        unknown = self.losses - losses
        return self.whole_until[-unknown] if unknown <= len(self.whole_until) else NEVER


_NEW = Line()


@dataclass(eq=False, slots=True)
class Channel:
    """A SUB socket with its socket monitor. Changed by the polling thread alone.

    Other threads read `line`, once: it is replaced as a whole.
    """

    endpoint: str
    socket: zmq.Socket[bytes] = field(repr=False)
    events: zmq.Socket[bytes] = field(repr=False)
    receiver: Receiver[Any] = field(repr=False, default_factory=make_receiver)
    topics: set[bytes] = field(default_factory=set)
    line: Line = _NEW
    heard_at: Moment = NEVER
    waiting: list[Future[Subscription]] = field(default_factory=list, repr=False)

    @property
    def connected(self) -> bool:
        """Whether the ZeroMQ handshake stands."""
        return self.line.connected_at is not None

    @property
    def descriptors(self) -> tuple[int, int]:
        """What becomes readable when something happens on the socket, and to its connection."""
        sockets = self.socket, self.events
        received, told = (int(each.getsockopt(zmq.FD)) for each in sockets)
        return received, told

    def note_drained(self, now: Moment, messages: int, *, empty: bool) -> None:
        """Note what a pass over the socket found.

        A message tells that the connection stood when it came: after the socket was last empty,
        and no later moment is proven by it.
        """
        if messages:
            self.heard_at = self.line.emptied_at
        if empty:
            self.line = self.line._replace(emptied_at=now)

    def lose(self, now: Moment) -> None:
        """Note that the connection is gone.

        It may have been dead for as long as its heartbeat allows, unless something was
        heard on it since.
        """
        line = self.line
        known = max(line.connected_at or NEVER, self.heard_at)
        whole_until = max(known, now.earlier(HEARTBEAT_HORIZON))
        self.line = line._replace(
            connected_at=None,
            losses=line.losses + 1,
            whole_until=(*line.whole_until, whole_until)[-_LOSSES:],
        )

    def note_events(self) -> bool:
        """Take in what the socket monitor says; whether there was anything."""
        told = False
        while True:
            try:
                message = self.events.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return told
            told = True
            self._note(parse_monitor_message(message)["event"])

    def _note(self, event: int) -> None:
        if event == zmq.Event.HANDSHAKE_SUCCEEDED:
            self.line = self.line._replace(connected_at=Moment.now())
            log.info("monitor_port_connected", endpoint=self.endpoint)
            waiting, self.waiting = self.waiting, []
            for future in waiting:
                if future.set_running_or_notify_cancel():
                    future.set_result(Subscription(self, self.line.losses))
        elif event == zmq.Event.DISCONNECTED and self.connected:
            self.lose(Moment.now())
            log.warning("monitor_port_lost", endpoint=self.endpoint)
        elif event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
            log.warning("monitor_port_handshake_failed", endpoint=self.endpoint)

    def close(self) -> None:
        """Close the sockets; nobody who still waits for the connection gets it."""
        for topic in self.topics:
            self.receiver.remove(topic)
        self.socket.disable_monitor()
        self.events.close(0)
        self.socket.close(0)
        if self.connected:
            self.lose(Moment.now())
        self.line = self.line._replace(closed=True)
        for future in self.waiting:
            future.cancel()


class Subscription(NamedTuple):
    """A channel on which topics are subscribed, and how often it had been lost by then."""

    channel: Channel
    losses: int


def open_channel(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Channel:
    """Connect a channel; the handshake is awaited by its socket monitor.

    Raises:
        ZMQError: the endpoint is none.
    """
    socket = context.socket(zmq.SUB)
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
    return Channel(endpoint, socket, events)
