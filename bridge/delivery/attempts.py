"""One try to deliver some events, and what it says of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.errors import Reject, Retry
from bridge.events import Event
from bridge.sinks.base import Batch, Sink


@dataclass(slots=True)
class Outcome:
    """What one try came to.

    Attributes:
        delivered: confirmed by the destination.
        rejected: refused for good, each with the reason.
        again: to be sent again, in order.
        error: why, where there is anything to send again or the whole was refused.
    """

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, str]] = field(default_factory=list)
    again: list[Event] = field(default_factory=list)
    error: Retry | Reject | None = None


def attempt(sink: Sink, events: Sequence[Event]) -> Outcome:
    """Hand events to a sink once. What a sink raises is an outcome, never an exception."""
    batch = Batch(events)
    try:
        sink.deliver(batch)
    except Reject as error:
        if len(events) == 1:
            return Outcome(rejected=[(events[0], str(error))])
        return Outcome(again=list(events), error=error)
    except Retry as error:
        return Outcome(again=list(events), error=error)
    except Exception as error:  # noqa: BLE001 (the contract: anything else means retry)
        cause = Retry(f"{type(error).__name__}: {error}", answered=True)
        cause.__cause__ = error
        return Outcome(again=list(events), error=cause)
    if not batch.failures:
        return Outcome(delivered=list(events))
    outcome = Outcome()
    for event in events:
        failure = batch.failures.get(event.offset)
        if failure is None:
            outcome.delivered.append(event)
        elif isinstance(failure, Reject):
            outcome.rejected.append((event, str(failure)))
        else:
            outcome.again.append(event)
            outcome.error = outcome.error or failure
    return outcome
