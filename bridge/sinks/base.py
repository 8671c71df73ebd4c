"""The contract of a sink: one small class per destination, and the engine does the rest.

A sink says how to reach its destination and what a confirmed batch is. The engine gives it
batching, ordering, retries with backoff, dead letters, cursors, metrics, one thread. A sink
is published under the entry-point group `kinetica_bridge.sinks`; its name there is the
`type` in the configuration.

Life: constructed with its validated settings (stores them, does no I/O), `open()`, any
number of `deliver(batch)`, `close()`. After an exception from `deliver` the engine calls
`deliver` again with the same events; after `NotConnected` it calls `close` and `open` first.
`deliver` is called from one thread at a time, or from up to `max_in_flight`, never with events of
one table in two calls at once; the other calls are never made while a `deliver` runs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, ClassVar, Self, overload

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.errors import Disabled, Reject, Retry, SinkError
from bridge.events import Event, EventType
from bridge.formats.base import Carries
from bridge.formats.settings import FormatSettings, Shaping
from bridge.lines import Lines, Slice
from bridge.units import Duration, Size, parse_moment


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
            "Tries after which an error of the destination's counts as a refusal, so that the "
            "batch is halved to find what is to blame. An unreachable destination is retried for "
            "as long as it takes."
        ),
    )


def _beginning(value: str) -> str:
    if value in ("now", "oldest"):
        return value
    try:
        moment = parse_moment(value)
    except ValueError:
        example = "a time like 2026-11-23T08:42:00Z or an age like 2h"
        raise ValueError(f"{value!r} is not now, oldest, {example}") from None
    if moment > time.time() * 1e6:
        raise ValueError(
            f"{value!r} is still to come; a sink begins now or at a time that has been"
        )
    return value


def _each_once(value: tuple[EventType, ...] | None) -> tuple[EventType, ...] | None:
    for index, each in enumerate(value or ()):
        if each in (value or ())[:index]:
            raise ValueError(f'"{each}" is given twice')
    return value


class SinkSettings(FormatSettings, Shaping):
    """What every sink can be told; a sink's own settings derive from it.

    A subclass narrows `type` to its own name, `type: Literal["name"]`, and may replace the
    defaults of `batch`.
    """

    type: str = Field(description="Which sink it is.")
    from_: Annotated[str, AfterValidator(_beginning)] = Field(
        default="now",
        alias="from",
        description=(
            "Where a sink that is new begins: now, oldest (all that the journal still has), or "
            "with what was received since an RFC 3339 time or an age such as 2h."
        ),
    )
    events: Annotated[tuple[EventType, ...] | None, AfterValidator(_each_once)] = Field(
        default=None,
        min_length=1,
        description="Only events of these types; default: all.",
    )
    batch: Batching = Batching()
    retry: Retrying = Retrying()

    @property
    def taken(self) -> frozenset[str] | None:
        """The types of events that it takes, None for all."""
        return None if self.events is None else frozenset(self.events)


class NotConnected(Retry):
    """The connection is gone: the engine closes the sink and opens it anew, then retries."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the engine has a sink do.

    Attributes:
        sink: its id.
        journal_id: 16 hexadecimal digits; empty in `check`, which opens no journal.
        tables: those whose events it gets, as far as they are known.
        sizes: in `check`, bytes that an event of a table takes, about, where that is known.
        head: the journal's next offset, when this was said; None where that is not known.
    """

    sink: str
    journal_id: str = ""
    tables: frozenset[str] = frozenset()
    head: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict, compare=False)


class Caution(str):
    """What `check` returns where all works, and yet something deserves a look.

    Args:
        text: what was found.
        cure: what to do about it.
    """

    __slots__ = ("cure",)
    cure: str

    def __new__(cls, text: str, cure: str) -> Self:
        """Make it of both."""
        made = super().__new__(cls, text)
        made.cure = cure
        return made


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a table stands once the destination has all of its events in a batch.

    Attributes:
        to: all of the table's events before it are settled then, but those in `open`.
        open: runs (start, stop) before `to`, ascending: they wait, or become dead letters.
        ahead: runs behind `to`, ascending, that the destination has already.
    """

    to: int
    open: Sequence[tuple[int, int]] = ()
    ahead: Sequence[tuple[int, int]] = ()


class Batch(Sequence[Event]):
    """The events of one call, in journal order; frozen across its retries.

    A sink that writes bytes takes `slices`, or their `data`, as they stand; one that wants events
    iterates, and each is made as it is asked for. A sink that could deliver only a part marks the
    others with `fail`; what is not marked counts as delivered once `deliver` returns.

    Args:
        slices: runs of events of one table each, as encoded.
        standing: says where a table stands; None for events that move no cursor, as in a replay.

    Attributes:
        slices: as given.
        failed_events: by offset.
        failed_tables: by table: all its events of this batch.
    """

    __slots__ = ("_standing", "_starts", "failed_events", "failed_tables", "slices")

    def __init__(
        self, slices: Sequence[Slice], standing: Callable[[str], Standing] | None = None
    ) -> None:
        self.slices = slices
        self._standing = standing
        self._starts = [0, *accumulate(len(each) for each in slices)]
        self.failed_events: dict[int, Retry | Reject] = {}
        self.failed_tables: dict[str, Retry | Reject] = {}

    @property
    def id(self) -> str:
        """The id of the first event."""
        first = self.slices[0]
        return first.lines.id(first.start)

    @property
    def tables(self) -> set[str]:
        """The tables it holds events of."""
        return {each.table for each in self.slices}

    @property
    def nbytes(self) -> int:
        """Bytes of all lines, line feeds included."""
        return sum(each.nbytes for each in self.slices)

    def standing(self, table: str) -> Standing | None:
        """Return where one of its tables stands once all is delivered; None in a replay.

        For a sink that keeps a cursor at its destination, in one transaction with the events.
        """
        return None if self._standing is None else self._standing(table)

    def lines(self) -> list[memoryview]:
        """Return the bytes of all events, a line each, in as few pieces as they lie in."""
        return [each.data for each in self.slices]

    def fail(self, what: Event | Slice | str, error: Retry | Reject) -> None:
        """Mark an event, a slice, or a whole table (by its name) as not delivered.

        `Retry` makes it go out again: the table waits, and later events of it with it. `Reject`
        says that the destination refused it. A sink that keeps an order marks whatever comes
        later in it (of the table; of the key, with `ordered_by_key`) as `Retry` with the first:
        what is not marked counts as delivered.
        """
        if isinstance(what, str):
            self.failed_tables[what] = error
        elif isinstance(what, Slice):
            self.failed_events.update(dict.fromkeys(range(what.offset, what.end), error))
        else:
            self.failed_events[what.offset] = error

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect_right(self._starts, index) - 1
        return self.slices[place].event(index - self._starts[place])

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[Event]:
        for each in self.slices:
            for index in range(len(each)):
                yield each.event(index)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} events{f' from {self.id}' if len(self) else ''}>"


class Sink(ABC):
    """One destination.

    Attributes:
        Settings: the pydantic model of its configuration.
        keyed: whether it uses `event.key`. A sink that says False saves the work of making
            the keys of rows, and may find None there.
        ordered_by_key: whether order is per key, so that where one key's event waits the
            table's other keys go on.
        max_in_flight: calls to `deliver` at once; a sink may set it in its constructor. Its
            tables are divided among as many lines.
        carries: what it can carry besides JSON objects, which says the formats it takes.
        assignment: what it has to do; set before `open`, and before `check`.
    """

    Settings: ClassVar[type[SinkSettings]]
    carries: ClassVar[frozenset[Carries]] = frozenset({Carries.TEXT})
    keyed: ClassVar[bool] = True
    ordered_by_key: ClassVar[bool] = False
    max_in_flight: int = 1
    assignment: Assignment = Assignment("")

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
            Reject: the body as a whole was refused; the engine finds out what is to blame.
            Disabled: the destination is gone; what goes there waits for a reload.
            Exception: anything else is a fault of the sink's own code: logged with its
                traceback, shown as `failed`, and tried again.
        """

    def place_of(self, table: str) -> str:
        """Return the name of where a table's rows go; a format may register schemas under it.

        Raises:
            Retry: there can be no such place.
        """
        return table

    def idle(self) -> None:  # noqa: B027 (optional)
        """Do what an open sink needs between batches, without blocking.

        Called about once a second while no `deliver` runs, during a backoff too. What it raises
        is shown and logged as what `deliver` raises; `NotConnected` makes the engine open anew.
        """

    def check(self) -> str | None:
        """Try the connection without writing an event; raise with the reason if it fails.

        Returns:
            What was found, to be shown, a `Caution` where it deserves a look; None if that is
            nothing but a connection.
        """
        return None

    def close(self) -> None:  # noqa: B027 (optional)
        """Let go of the connection; may be called twice, or without `open`."""


__all__ = [
    "Assignment",
    "Batch",
    "Batching",
    "Carries",
    "Caution",
    "Disabled",
    "Lines",
    "NotConnected",
    "Reject",
    "Retry",
    "Retrying",
    "Sink",
    "SinkError",
    "SinkSettings",
    "Slice",
    "Standing",
]
