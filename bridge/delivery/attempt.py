"""One try to deliver a batch, and what it says of each of its tables and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.delivery.policy import ACCEPTED, Answer, answer_of
from bridge.errors import Reject, Retry
from bridge.lines import Slice
from bridge.sinks.base import Batch, Sink


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try came to.

    Attributes:
        answer: to the batch as a whole; acceptance says that `deliver` returned.
        error: what it raised, None if it returned.
        events: by offset, what was marked as not delivered.
        tables: by table, likewise.
    """

    answer: Answer = ACCEPTED
    error: BaseException | None = None
    events: Mapping[int, Retry | Reject] = field(default_factory=dict)
    tables: Mapping[str, Retry | Reject] = field(default_factory=dict)


def attempt(sink: Sink, slices: Sequence[Slice]) -> Outcome:
    """Hand events to a sink once. Whatever it raises is an outcome, never an exception."""
    batch = Batch(slices)
    try:
        sink.deliver(batch)
    except BaseException as error:  # noqa: BLE001 (a plug-in's SystemExit must not end us)
        return Outcome(answer_of(error), error)
    return Outcome(events=batch.failed_events, tables=batch.failed_tables)
