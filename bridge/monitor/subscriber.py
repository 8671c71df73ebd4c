"""The polling thread: it owns every ZeroMQ socket, receives, and hands on; nothing else.

Tables share *channels*: a SUB socket and its socket monitor, with at most 64 topics, since
libzmq re-sends a socket's subscriptions under the high-water mark after a reconnect and can
drop some. Sockets are waited for by their descriptors, which say that something happened, not
that a message is there: so a socket is read until it has nothing. Every one is touched at least
once a second: a reconnected SUB socket that nobody touches stays deaf (protocol, section 4.5).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic

import structlog
import zmq

from bridge.loop import Loop
from bridge.monitor.arrivals import PART_COST, Arrival, Damaged, Drained, Limits, Loss, R
from bridge.monitor.channel import Channel, Subscription
from bridge.monitor.channels import Channels
from bridge.monitor.holding import Holding
from bridge.monitor.moment import Moment

log = structlog.get_logger()

# What one visit to a channel takes before the others have their turn: some 5 ms. Of narrow rows
# that is a block which the journal and the encoder take whole, without looking for a place to cut.
_PASS_BYTES = 2**20
_PASS_MESSAGES = 20_000
# Visits that a channel gets before topics are let go: what had arrived by then is in them.
_LAST_PASSES = 4
_TOUCH_SECONDS = 1.0
# What is less than this in one turn is a trickle, which is gathered.
_LITTLE_BYTES = 2**15
_STOP_SECONDS = 5.0
# What a fault loses was sent since the socket was last empty, or so many seconds before.
_LONGEST_LOSS = 60.0

Receive = Callable[[Sequence[Arrival[R] | Damaged[R]], Sequence[Loss[R]]], None]


def _plenty() -> int:
    return sys.maxsize


@dataclass(eq=False, slots=True)
class _Leaving:
    """Topics that are let go once what had arrived on them is handed on."""

    topics: set[bytes]
    channels: set[Channel]
    future: Future[None]
    passes: int = 0


class Subscriber(Generic[R]):
    """One thread that polls the sockets of all tables.

    Waits on its sockets; ends within a second of `stop`, which any thread may call.

    Args:
        receive: called in the polling thread with what was received, and with what was
            discarded after it; must not block.
        changed: called in the polling thread when a channel connects or is lost.
        room: how many bytes may be received now; what goes beyond them is discarded.
        linger: seconds between two turns while little comes, so that a trickle costs few; the
            first to come after a pause does not wait.
    """

    def __init__(
        self,
        receive: Receive[R],
        changed: Callable[[], None],
        room: Callable[[], int] = _plenty,
        *,
        linger: float = 0.005,
    ) -> None:
        self._receive = receive
        self._changed = changed
        self._room = room
        self._linger = linger
        self._commands: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._channels = Channels()
        self._unfinished: set[Channel] = set()  # to be visited without being waited for
        self._told: set[Channel] = set()  # whose socket monitor may have something to say
        self._routes: dict[bytes, R] = {}
        self._holding: Holding[Arrival[R] | Damaged[R]] = Holding()
        self._leaving: list[_Leaving] = []
        self._touched_at = 0.0
        self._turned_at = 0.0
        self._trickles = False
        self._unknown_topics: set[bytes] = set()
        # Routes of which a fault of ours has lost something, and since when; told with what comes.
        self._lost: dict[R, int] = {}
        self.unknown_messages = 0
        self._loop = Loop("subscriber", self._turn, done=self._finish)

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return [self._loop]

    def pace(self, linger: float) -> None:
        """Leave so many seconds between two turns from now on, while little comes."""
        self._linger = linger

    def start(self) -> None:
        """Start the polling thread."""
        self._loop.start()

    def stop(self) -> None:
        """End the polling thread and close every socket; may be called twice."""
        if self._loop.started:
            self._loop.stop()
            self._channels.nudge()
            self._loop.join(_STOP_SECONDS)
        else:
            self._close()

    def subscribe(
        self,
        endpoint: str,
        routes: Mapping[bytes, R],
        *,
        held: bool = False,
        beside: Channel | None = None,
    ) -> Future[Subscription]:
        """Subscribe a table's topics at one endpoint, all on one channel.

        Args:
            endpoint: where.
            routes: what each topic means; without any, the connection alone is made.
            held: keep back what arrives on them until `release`.
            beside: the channel that has other topics of the table already.

        Returns:
            A future of the channel, done once its ZeroMQ handshake stands.
        """
        future: Future[Subscription] = Future()
        self._ask(self._subscribe, endpoint, dict(routes), held, beside, future)
        return future

    def leave(self, endpoint: str) -> None:
        """Close the channel of an endpoint where nothing is subscribed."""
        self._ask(self._leave, endpoint, Future())

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
        self._channels.nudge()

    # The rest runs in the polling thread.

    def _turn(self) -> bool:
        """Wait for something to happen, and see to it."""
        due = self._await()
        told, self._told = self._told, set()
        self._run_commands()
        due |= self._unfinished
        self._unfinished = set()
        weight = 0
        fault: BaseException | None = None
        for channel in due:
            if channel.line.closed:
                continue
            try:
                weight += self._visit(channel, told=channel in told)
            except BaseException as error:  # noqa: BLE001 (raised below, when all had their turn)
                fault = fault or error
        self._trickles = 0 < weight < _LITTLE_BYTES and not self._leaving
        self._turned_at = time.monotonic()
        self._let_go()
        if fault is not None:
            raise fault
        return True

    def _visit(self, channel: Channel, *, told: bool) -> int:
        """See what happened to a channel and came on it; return bytes received."""
        if told and channel.note_events():
            self._changed()
        received, more = self._drain(channel)
        if more:
            self._unfinished.add(channel)
        return received

    def _await(self) -> set[Channel]:
        if self._trickles:
            # Whoever asks for us waits as well; libzmq need not wake us for each message.
            time.sleep(max(0.0, self._turned_at + self._linger - time.monotonic()))
        due = self._wait(0.0 if self._unfinished or self._leaving else _TOUCH_SECONDS)
        now = time.monotonic()
        if now - self._touched_at >= _TOUCH_SECONDS:
            self._touched_at = now
            due.update(self._channels)
            self._told.update(self._channels)
        return due

    def _wait(self, seconds: float) -> set[Channel]:
        due, told = self._channels.wait(seconds)
        self._told |= told
        return due

    def _run_commands(self) -> None:
        # In their order: what comes after topics that are let go waits for that.
        while not self._leaving:
            try:
                command, args = self._commands.get_nowait()
            except Empty:
                return
            try:
                command(*args)
            except Exception as error:
                args[-1].set_exception(error)  # whoever asked waits for it
                raise

    def _subscribe(
        self,
        endpoint: str,
        routes: dict[bytes, R],
        held: bool,
        beside: Channel | None,
        future: Future[Subscription],
    ) -> None:
        try:
            channel = self._channels.pick(endpoint, routes.keys(), beside)
        except zmq.ZMQError as error:
            future.set_exception(error)
            return
        for topic, route in routes.items():
            before = self._routes.get(topic)
            if before is not None and before is not route:
                self._holding.replace(before, route)
            self._routes[topic] = route
            channel.receiver.add(topic, route)
        if held:
            self._holding.begin(routes.values())
        for topic in routes.keys() - channel.topics:
            channel.socket.subscribe(topic)
        channel.topics |= routes.keys()
        self._unfinished.add(channel)
        if channel.connected:
            future.set_result(Subscription(channel, channel.line.losses))
        else:
            channel.waiting.append(future)

    def _leave(self, endpoint: str, future: Future[None]) -> None:
        self._channels.shut_unused(endpoint)
        future.set_result(None)

    def _unsubscribe(self, topics: set[bytes], future: Future[None]) -> None:
        channels = {channel for channel in self._channels if channel.topics & topics}
        self._unfinished |= channels
        self._leaving.append(_Leaving(topics, channels, future))

    def _let_go(self) -> None:
        """Let go of topics whose channels have nothing more, or have had their last passes."""
        for leaving in tuple(self._leaving):
            leaving.passes += 1
            if leaving.channels & self._unfinished and leaving.passes <= _LAST_PASSES:
                continue
            self._leaving.remove(leaving)
            self._forget(leaving.topics)
            leaving.future.set_result(None)
            self._channels.nudge()  # commands may have waited for this

    def _forget(self, topics: set[bytes]) -> None:
        for channel in self._channels:
            ours = channel.topics & topics
            for topic in ours:
                channel.socket.unsubscribe(topic)
                channel.receiver.remove(topic)
            channel.topics -= ours
            if ours and not channel.topics:
                self._channels.shut(channel)
        gone = {route for topic in topics if (route := self._routes.pop(topic, None)) is not None}
        self._holding.end(gone.difference(self._routes.values()))

    def _release(self, topics: set[bytes], future: Future[bool]) -> None:
        routes = {self._routes[topic] for topic in topics if topic in self._routes}
        held, whole = self._holding.end(routes)
        if held:
            self._receive(held, ())
        future.set_result(whole)

    def _drain(self, channel: Channel) -> tuple[int, bool]:
        """Hand on what one pass brings: how many bytes, and whether there may be more."""
        now = Moment.now()
        try:
            found = self._receive_from(channel, now)
        except BaseException:
            # What was taken from the socket by then is gone, of whatever table it was.
            since = max(channel.line.emptied_at, now.earlier(_LONGEST_LOSS))
            for topic in channel.topics & self._routes.keys():
                self._lost.setdefault(self._routes[topic], round(since.wall * 1e6))
            raise
        messages = found.messages + found.unknown_messages
        channel.note_drained(now, messages, empty=not (found.more or found.error))
        if found.error:
            self._give_up(channel, found.error)
        return found.size + messages * PART_COST, found.more

    def _give_up(self, channel: Channel, error: int) -> None:
        """Close a channel whose socket fails; whoever needs its topics subscribes them anew."""
        log.error("monitor_socket_failed", endpoint=channel.endpoint, cause=zmq.strerror(error))
        self._routes = {
            topic: route for topic, route in self._routes.items() if topic not in channel.topics
        }
        self._channels.shut(channel)
        self._changed()

    def _receive_from(self, channel: Channel, now: Moment) -> Drained[R]:
        time = round(now.wall * 1e6)
        limits = Limits(_PASS_BYTES, _PASS_MESSAGES, self._room())
        found = channel.receiver.drain(channel.socket, limits, time)
        if found.unknown_messages:
            self._note_unknown(found.unknown, found.unknown_messages)
        arrivals = found.arrivals
        if self._holding and arrivals:
            holds = self._holding.holds
            arrivals = [item for item in arrivals if not holds(item.route, item, item.cost)]
        faults = [Loss(route, 0, 0, 0, since) for route, since in self._lost.items()]
        losses = [*found.losses, *faults]
        if arrivals or losses:
            self._receive(arrivals, losses)
            self._lost.clear()
        return found

    def _note_unknown(self, topics: Sequence[bytes], messages: int) -> None:
        # SUBSCRIBE matches prefixes: another topic's messages may arrive here too.
        self.unknown_messages += messages
        for topic in topics:
            if topic not in self._unknown_topics and len(self._unknown_topics) < 1000:
                self._unknown_topics.add(topic)
                log.warning("unknown_topic", topic=topic.decode("utf-8", "backslashreplace"))

    def _finish(self) -> None:
        """Take in what was sent before the monitors were cleared, and close everything."""
        try:
            for channel in self._channels:
                for _ in range(_LAST_PASSES):
                    if not self._drain(channel)[1]:
                        break
        finally:
            self._close()

    def _close(self) -> None:
        for leaving in self._leaving:
            leaving.future.cancel()
        self._channels.close()
