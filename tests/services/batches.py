"""Events as the batches that sinks are given."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.events import Event
from bridge.sinks.base import Batch, Reject, Retry
from bridge.testing import slices_of


def batch_of(events: Sequence[Event]) -> Batch:
    """Return a batch with these events; runs of one table and type share a slice."""
    return Batch(slices_of(events))


def failures_of(batch: Batch) -> dict[int, Retry | Reject]:
    """Return the errors of a batch by offset, those of whole tables spread out."""
    tables = batch.failed_tables
    whole = {event.offset: tables[event.table] for event in batch if event.table in tables}
    return batch.failed_events | whole
