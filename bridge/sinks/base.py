"""The contract of a sink: one small class per destination, and the engine does the rest.

A sink says how to reach its destination and what a confirmed batch is. The engine gives it
batching, ordering, retries with backoff, dead letters, cursors, metrics, one thread. A sink
is published under the entry-point group `kinetica_bridge.sinks`; its name there is the
`type` in the configuration.

Life: constructed with its validated settings (stores them, does no I/O), `open()`, any
number of `deliver(batch)`, `close()`. After an exception from `deliver` the engine calls
`deliver` again with the same events; after `NotConnected` it calls `close` and `open` first.
All calls come from one thread, never two at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, overload

from pydantic import BaseModel, ConfigDict, Field

from bridge.errors import Reject, Retry, SinkError
from bridge.events import Event
from bridge.units import Duration, Size


class Batching(BaseModel):
    """How many events one call to `deliver` carries.

    A sink with other defaults derives from this and gives the field anew, as plain seconds
    and bytes: `max_wait: Duration = 0.1`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_events: int = Field(default=10_000, ge=1, le=100_000, description="Most events in a batch.")
    max_bytes: Size = Field(default=4 * 2**20, description="Most bytes of event values in a batch.")
    max_wait: Duration = Field(
        default=0.0, description="How long an event may wait for the batch to fill."
    )


class Retrying(BaseModel):
    """How a failed batch is tried again: exponential backoff with jitter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_backoff: Duration = Field(default=0.1, description="Wait before the first retry.")
    max_backoff: Duration = Field(default=30.0, description="Longest wait between two tries.")
    max_attempts: int = Field(
        default=8,
        ge=1,
        description=(
            "Tries after which an event that the destination answers with an error, while it "
            "accepts others, goes to the dead letters. An unreachable destination is retried "
            "for as long as it takes."
        ),
    )


class SinkSettings(BaseModel):
    """What every sink can be told; a sink's own settings derive from it.

    A subclass narrows `type` to its own name, `type: Literal["name"]`, and may replace the
    defaults of `batch`.
    """

    # An error that quoted its input would print the secrets in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: str = Field(description="Which sink it is.")
    batch: Batching = Batching()
    retry: Retrying = Retrying()


class NotConnected(Retry):
    """The connection is gone: the engine closes the sink and opens it anew, then retries."""


class Batch(Sequence[Event]):
    """The events of one call, in journal order; frozen across its retries.

    A sink that could deliver only a part marks the others with `fail`; unmarked events
    count as delivered once `deliver` returns.
    """

    __slots__ = ("_events", "failures")

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self.failures: dict[int, Retry | Reject] = {}

    def fail(self, event: Event, error: Retry | Reject) -> None:
        """Mark one event as not delivered: `Retry` sends it again, `Reject` sets it aside."""
        self.failures[event.offset] = error

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __repr__(self) -> str:
        if not self._events:
            return "<Batch of 0 events>"
        return f"<Batch of {len(self)} events from {self._events[0].id}>"


class Sink(ABC):
    """One destination.

    Attributes:
        Settings: the pydantic model of its configuration.
        keyed: whether it uses `event.key`. A sink that says False saves the work of making
            the keys of rows, and may find None there.
    """

    Settings: ClassVar[type[SinkSettings]]
    keyed: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, settings: SinkSettings) -> None:
        """Store the settings; no I/O."""

    def open(self) -> None:  # noqa: B027 (a sink without a connection has nothing to open)
        """Connect, or raise; the engine calls again with backoff until it returns."""

    @abstractmethod
    def deliver(self, batch: Batch) -> None:
        """Send the events in order and return once the destination has confirmed them.

        Raises:
            Retry: send all of it again, `after` seconds if given.
            Reject: none of it will ever be accepted.
            Exception: anything else means Retry.
        """

    def check(self) -> None:  # noqa: B027 (optional)
        """Try the connection without writing an event; raise with the reason if it fails."""

    def close(self) -> None:  # noqa: B027 (optional)
        """Let go of the connection; may be called twice, or without `open`."""


__all__ = [
    "Batch",
    "Batching",
    "NotConnected",
    "Reject",
    "Retry",
    "Retrying",
    "Sink",
    "SinkError",
    "SinkSettings",
]
