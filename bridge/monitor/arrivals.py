"""What one drain of a socket gives, and the contract of whoever drains.

Order is kept among the topics of one table. A block of a topic ends where another topic of its
table, or a bad frame, comes; blocks and bad frames stand in the order in which they began.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

import zmq

from bridge.codec import Codec
from bridge.errors import DecodeError
from bridge.events import ReadCause

# What a block, or a bad frame, costs in memory beside its bytes: the objects around it.
ITEM_COST = 512
# What a part is counted with beside its bytes, so that empty ones end a pass as well.
PART_COST = 64
# Unknown topics that one pass remembers, and how many bytes of each.
UNKNOWN_TOPICS = 8
UNKNOWN_BYTES = 200


class Routed(Hashable, Protocol):
    """What a topic means, as far as receiving goes."""

    @property
    def codec(self) -> Codec:
        """What its records are validated with."""

    @property
    def table(self) -> Hashable:
        """What the topic belongs to: order is kept within it."""


R = TypeVar("R", bound=Routed)


class Arrival(NamedTuple, Generic[R]):
    """Valid records of one topic that arrived together.

    Attributes:
        route: what was registered for the topic.
        payload: the records' bytes, one after another.
        records: how many.
        time: when they were received, microseconds since the epoch.
        cause: why they were read, None where they were published.
    """

    route: R
    payload: bytes
    records: int
    time: int
    cause: ReadCause | None = None

    @property
    def cost(self) -> int:
        """Bytes of memory it takes, roughly."""
        return len(self.payload) + ITEM_COST


class Damaged(NamedTuple, Generic[R]):
    """A frame that is no record of its topic's layout."""

    route: R
    frame: bytes
    error: DecodeError
    time: int

    @property
    def cost(self) -> int:
        """Bytes of memory it takes, roughly."""
        return len(self.frame) + ITEM_COST


class Loss(NamedTuple, Generic[R]):
    """What was received on a topic and discarded, as there was no room."""

    route: R
    messages: int
    records: int
    size: int
    time: int


class Limits(NamedTuple):
    """What ends a pass: bytes looked at (beside them, `PART_COST` a part), or messages begun.

    Attributes:
        room: from so many bytes on, counted as `cost`, nothing more is kept.
    """

    size: int
    messages: int
    room: int


class Drained(NamedTuple, Generic[R]):
    """What one pass gave.

    Attributes:
        arrivals: blocks and bad frames, in order.
        losses: what was discarded after them, one for each topic.
        unknown: topics that are not registered, some of them and cut short.
        unknown_messages: how many messages had such a topic.
        messages: how many were begun, of registered topics.
        size: bytes of their frames.
        more: whether a limit ended the pass, so that more may be there.
        error: libzmq's number of the error that ended it, 0 where none did.
    """

    arrivals: list[Arrival[R] | Damaged[R]]
    losses: list[Loss[R]]
    unknown: list[bytes]
    unknown_messages: int
    messages: int
    size: int
    more: bool
    error: int


class Receiver(ABC, Generic[R]):
    """Drains SUB sockets whose topics are registered. Used by one thread."""

    @abstractmethod
    def add(self, topic: bytes, route: R) -> None:
        """Register a topic, in the place of what it meant before."""

    @abstractmethod
    def remove(self, topic: bytes) -> None:
        """Forget a topic, if it is registered."""

    @abstractmethod
    def drain(self, socket: zmq.Socket[bytes], limits: Limits, time: int) -> Drained[R]:
        """Receive until the socket has nothing or a limit is reached; never blocks.

        A pass may end within a message; the next one, of the same socket, goes on there.
        """
