"""The least engine that keeps its side of a sink's contract: what a test delivers with.

It sends again what failed, closes and opens after `NotConnected`, and halves a batch that is
rejected whole until the event to blame stands alone. It knows no cursors and no back-off worth
the name.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.events import Event
from bridge.sinks.base import Batch, NotConnected, Reject, Sink

PAUSE = 0.05  # seconds between two tries


@dataclass(slots=True)
class Delivery:
    """What became of the events: each is in exactly one of the first two.

    Attributes:
        delivered: what the sink confirmed, in the order of its confirmation.
        rejected: what it will never take, with the reason.
        retries: the errors after which something was sent again.
    """

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, Reject]] = field(default_factory=list)
    retries: list[Exception] = field(default_factory=list)


def drive(sink: Sink, events: Sequence[Event], *, timeout: float = 60.0) -> Delivery:
    """Deliver events through an opened sink until each is confirmed or rejected.

    Raises:
        TimeoutError: some were still retried after `timeout` seconds; its cause is the last error.
    """
    result = Delivery()
    end = time.monotonic() + timeout
    waiting = [list(events)] if events else []
    while waiting:
        batch = Batch(waiting.pop(0))
        failure = _attempt(sink, batch)
        if isinstance(failure, Reject) and len(batch) > 1:
            middle = len(batch) // 2
            waiting[:0] = [list(batch[:middle]), list(batch[middle:])]
        elif isinstance(failure, Reject):
            result.rejected.append((batch[0], failure))
        elif failure is not None:
            result.retries.append(failure)
            _wait(sink, failure, end)
            waiting.insert(0, list(batch))
        elif again := _sort(batch, result):
            _wait(sink, result.retries[-1], end)
            waiting.insert(0, again)
    return result


def _attempt(sink: Sink, batch: Batch) -> Exception | None:
    try:
        sink.deliver(batch)
    except Exception as error:  # noqa: BLE001 (the contract: whatever it is, it is a retry)
        return error
    return None


def _sort(batch: Batch, result: Delivery) -> list[Event]:
    again = []
    for event in batch:
        failure = batch.failures.get(event.offset)
        if failure is None:
            result.delivered.append(event)
        elif isinstance(failure, Reject):
            result.rejected.append((event, failure))
        else:
            again.append(event)
            result.retries.append(failure)
    return again


def _wait(sink: Sink, cause: Exception, end: float) -> None:
    reopen = isinstance(cause, NotConnected)
    while True:
        if time.monotonic() > end:
            raise TimeoutError(f"still failing: {cause}") from cause
        time.sleep(PAUSE)
        if not reopen:
            return
        sink.close()
        try:
            sink.open()
        except Exception as error:  # noqa: BLE001 (as above: it is tried again)
            cause = error
        else:
            return
