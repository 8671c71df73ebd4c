"""Receiving through pyzmq: the same results as in C, with objects for each frame, so slower."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic

import zmq

from bridge.errors import DecodeError
from bridge.monitor.arrivals import (
    ITEM_COST,
    PART_COST,
    UNKNOWN_BYTES,
    UNKNOWN_TOPICS,
    Arrival,
    Damaged,
    Drained,
    Limits,
    Loss,
    R,
    Receiver,
)


class PyzmqReceiver(Receiver[R]):
    """Drains with pyzmq."""

    def __init__(self) -> None:
        self._routes: dict[bytes, R] = {}
        # What is left of a message in which a pass ended: its topic, and its frames.
        self._topic: bytes | None = None
        self._frames: deque[bytes] = deque()
        self._errors: dict[int, DecodeError] = {}  # by how many frames are left then
        self._losing = False

    def add(self, topic: bytes, route: R) -> None:
        """See `Receiver.add`."""
        self.remove(topic)
        self._routes[topic] = route

    def remove(self, topic: bytes) -> None:
        """See `Receiver.remove`."""
        self._routes.pop(topic, None)
        if topic == self._topic:
            self._topic = None

    def drain(self, socket: zmq.Socket[bytes], limits: Limits, time: int) -> Drained[R]:
        """See `Receiver.drain`."""
        taken: _Pass[R] = _Pass(limits.room, time)
        more, error = True, 0
        while taken.spent < limits.size and (self._frames or taken.begun < limits.messages):
            if self._frames:
                self._take_frame(taken)
                continue
            try:
                topic, *frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                more = False
                break
            except zmq.ZMQError as failure:
                more, error = False, failure.errno or 0
                break
            self._take_topic(taken, topic, frames)
        return Drained(
            taken.finish(),
            list(taken.losses.values()),
            taken.unknown,
            taken.unknown_messages,
            taken.begun - taken.unknown_messages,
            taken.size,
            more,
            error,
        )

    def _take_topic(self, taken: _Pass[R], topic: bytes, frames: list[bytes]) -> None:
        taken.spent += PART_COST + len(topic)
        taken.begun += 1
        self._frames.extend(frames)
        self._errors = {}
        self._losing = False
        route = self._routes.get(topic)
        self._topic = topic if route is not None else None
        if route is not None:
            for error in route.codec.join(frames).bad:
                own = DecodeError(0, error.offset, error.reason)
                self._errors[len(frames) - error.index] = own
            return
        taken.unknown_messages += 1
        if len(taken.unknown) < UNKNOWN_TOPICS:
            taken.unknown.append(topic[:UNKNOWN_BYTES])

    def _take_frame(self, taken: _Pass[R]) -> None:
        error = self._errors.get(len(self._frames))
        frame = self._frames.popleft()
        taken.spent += PART_COST + len(frame)
        if self._topic is None:
            return
        route = self._routes[self._topic]
        if not taken.keep(self._topic, route, frame, error):
            taken.lose(self._topic, route, len(frame), begins=not self._losing)
            self._losing = True


@dataclass(slots=True)
class _Block(Generic[R]):
    """A block that may still grow."""

    topic: bytes
    route: R
    frames: list[bytes]


@dataclass(slots=True)
class _Pass(Generic[R]):
    """What a pass has found so far, and what it has used up."""

    room: int
    time: int
    arrivals: list[_Block[R] | Damaged[R]] = field(default_factory=list)
    open: dict[Hashable, _Block[R]] = field(default_factory=dict)
    losses: dict[bytes, Loss[R]] = field(default_factory=dict)
    unknown: list[bytes] = field(default_factory=list)
    unknown_messages: int = 0
    begun: int = 0
    size: int = 0
    cost: int = 0
    spent: int = 0

    def keep(self, topic: bytes, route: R, frame: bytes, error: DecodeError | None) -> bool:
        """Keep a frame; False where there is no room for it."""
        self.size += len(frame)
        if self.cost >= self.room:
            return False
        self.cost += len(frame)
        block = self.open.get(route.table)
        if error is not None:
            self.open.pop(route.table, None)
            self.arrivals.append(Damaged(route, frame, error, self.time))
            self.cost += ITEM_COST
        elif block is not None and block.topic == topic:
            block.frames.append(frame)
        else:
            self.open[route.table] = block = _Block(topic, route, [frame])
            self.arrivals.append(block)
            self.cost += ITEM_COST
        return True

    def lose(self, topic: bytes, route: R, size: int, *, begins: bool) -> None:
        """Count a frame that is discarded, the first one of its message or another."""
        lost = self.losses.get(topic) or Loss(route, 0, 0, 0, self.time)
        self.losses[topic] = lost._replace(
            messages=lost.messages + begins, records=lost.records + 1, size=lost.size + size
        )

    def finish(self) -> list[Arrival[R] | Damaged[R]]:
        """Return what arrived; nothing grows any more."""
        return [
            Arrival(item.route, b"".join(item.frames), len(item.frames), self.time)
            if isinstance(item, _Block)
            else item
            for item in self.arrivals
        ]
