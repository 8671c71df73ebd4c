"""`--dry-run` of a replay: what is stored of it, and what is not there any more."""

from __future__ import annotations

from typing import Any

from bridge.config import Config
from bridge.events import rfc3339
from bridge.journal import JournalReader, Stored, kind_of, overview, stored_marks
from bridge.journal.moments import offset_at, offset_until, steps_of
from bridge.supervisor.replays import Wish, letters_meant


def letters_dry_run(config: Config, wish: Wish) -> dict[str, Any]:
    """Return how many dead letters are meant."""
    with JournalReader(config.journal.path) as reader:
        counts, _ = letters_meant(reader, wish, config)
    return {"letters": counts.total(), "by_sink": dict(sorted(counts.items()))}


def dry_run(config: Config, wish: Wish) -> dict[str, Any]:
    """Return what a replay would deliver, read beside a running service."""
    path = config.journal.path
    found = next((each for each in overview(path).sinks if each.sink == wish.sink), None)
    tables = wish.tables(config, frozenset(found.lanes if found is not None else ()))
    steps = steps_of(stored_marks(path))
    taken = config.sinks[wish.to or wish.sink or ""].taken
    events, times = 0, list[int]()
    missing: list[dict[str, Any]] = []
    with JournalReader(path) as reader:
        oldest, head = reader.bounds()
        start, end = wish.start or 0, head
        if wish.since is not None:
            start = max(start, offset_at(reader, wish.since, steps))
        if wish.until is not None:
            end = offset_until(reader, wish.until, steps)
        if start < min(oldest, end) and wish.since is None:
            missing.append(_span(start, min(oldest, end) - 1, "pruned"))
        start = max(start, oldest)
        for low, high in reader.thinned():
            if max(low, start) < min(high, end):
                reason = "pruned, but for what some sink waits for"
                missing.append(_span(max(low, start), min(high, end) - 1, reason))
        position = start
        while position < end:
            page = reader.read(position, tables=tables)
            for stored in page.entries:
                wanted = taken is None or kind_of(stored.entry) in taken
                count = _within(stored, start, end) if wanted else 0
                if count:
                    events += count
                    times.append(stored.entry.time)
                    del times[1:-1]
            missing += (
                _span(damage.first, min(damage.last, end - 1), damage.reason)
                for damage in page.damaged
                if damage.first < end
            )
            if page.next <= position:
                break
            position = page.next
    return {
        "sink": wish.to or wish.sink,
        "tables": sorted(tables),
        "events": events,
        "first": start,
        "end": max(start, end),
        "since": rfc3339(times[0]) if times else None,
        "until": rfc3339(times[-1]) if times else None,
        "missing": missing,
    }


def _within(stored: Stored, start: int, end: int) -> int:
    return max(0, min(end, stored.offset + stored.count) - max(start, stored.offset))


def _span(first: int, last: int, reason: str) -> dict[str, Any]:
    return {"first": first, "last": last, "reason": reason}
