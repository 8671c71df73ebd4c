"""Events as batches of slices, and the least engine that delivers them; for tests of sinks."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from bridge.events import Event
from bridge.lines import Lines, Slice
from bridge.sinks.base import Batch, NotConnected, Reject, Retry, Sink

PAUSE = 0.05  # seconds between two tries


def batch_of(events: Sequence[Event]) -> Batch:
    """Return a batch with these events; runs of one table and type share a slice."""
    runs: list[list[Event]] = []
    for event in events:
        if runs and _follows(runs[-1][-1], event):
            runs[-1].append(event)
        else:
            runs.append([event])
    return Batch([_slice(run) for run in runs])


def _follows(last: Event, event: Event) -> bool:
    return (last.table, last.type, last.offset + 1, last.key is None) == (
        event.table,
        event.type,
        event.offset,
        event.key is None,
    )


def _slice(run: Sequence[Event]) -> Slice:
    lines = [event.value + b"\n" for event in run]
    keys = [event.key for event in run if event.key is not None]
    return Slice(
        Lines(
            run[0].id.partition("-")[0],
            run[0].table,
            run[0].type,
            run[0].offset,
            tuple((1, event.time) for event in run),
            b"".join(lines),
            _ends(lines),
            b"".join(keys) if keys else None,
            _ends(keys) if keys else None,
        ),
        0,
        len(run),
    )


def _ends(pieces: Sequence[bytes]) -> memoryview:
    return memoryview(array("Q", accumulate(map(len, pieces))))


@dataclass(slots=True)
class Delivery:
    """What became of the events, and the errors after which something was sent again."""

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, Reject]] = field(default_factory=list)
    retries: list[Exception] = field(default_factory=list)


def failures_of(batch: Batch) -> dict[int, Retry | Reject]:
    """Return the errors of a batch by offset, those of whole tables spread out."""
    found = dict(batch.failed_events)
    for event in batch:
        if event.table in batch.failed_tables:
            found[event.offset] = batch.failed_tables[event.table]
    return found


def drive(sink: Sink, events: Sequence[Event], *, timeout: float = 60.0) -> Delivery:
    """Deliver events through a sink until each is confirmed or rejected."""
    result = Delivery()
    end = time.monotonic() + timeout
    waiting = [list(events)] if events else []
    while waiting:
        sent = waiting.pop(0)
        batch = batch_of(sent)
        whole = None
        try:
            sink.deliver(batch)
            failed = failures_of(batch)
        except (Retry, Reject) as error:
            whole = error
            failed = dict.fromkeys((event.offset for event in sent), error)
        refused = [e for e in sent if isinstance(failed.get(e.offset), Reject)]
        # What was refused together is tried in halves: a table, or the whole batch.
        together = [e for e in refused if whole or e.table in batch.failed_tables]
        if len(together) > 1:
            middle = len(together) // 2
            waiting[:0] = [together[:middle], together[middle:]]
            refused = [event for event in refused if event not in together]
        result.delivered += [event for event in sent if event.offset not in failed]
        result.rejected += [(event, failed[event.offset]) for event in refused]
        again = [event for event in sent if isinstance(failed.get(event.offset), Retry)]
        if again:
            result.retries.append(failed[again[0].offset])
            if time.monotonic() > end:
                raise TimeoutError(f"still failing: {result.retries[-1]}") from result.retries[-1]
            time.sleep(PAUSE)
            if isinstance(result.retries[-1], NotConnected):
                _reopen(sink, end)
            waiting.insert(0, again)
    return result


def _reopen(sink: Sink, end: float) -> None:
    sink.close()
    while True:
        try:
            sink.open()
        except Retry:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)
        else:
            return
