"""What health and metrics show, of one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from bridge.delivery.health import SinkStats
from bridge.journal import Account, Journal, JournalStats, Lane, LetterSum
from bridge.loop import in_parts
from bridge.monitor.gaps import OpenGap
from bridge.monitor.table import TableMonitor


@dataclass(slots=True)
class Reloads:
    """Whether the configuration was last taken over, and when: as Prometheus itself says it.

    Attributes:
        restart_needed: keys of it that differ from what runs and that only a restart takes over.
    """

    successful: bool = True
    success_at: float = field(default_factory=time.time)
    restart_needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that health and metrics show, read in one go.

    Attributes:
        ready: whether every table was tried once.
        patterns: how many tables each pattern means, None where it was not looked at yet.
        lags: seconds by sink and table, the age of the oldest event not yet acknowledged.
        replayed: events delivered again, by sink and table.
        letters: what there is of dead letters, by sink and table.
        letters_pruned: how many went for their size or age, by sink and reason.
    """

    ready: bool
    tables: Mapping[str, TableMonitor]
    patterns: Mapping[str, int | None]
    gaps: list[OpenGap]
    sinks: Mapping[str, SinkStats]
    lags: Mapping[tuple[str, str], float]
    accounts: list[Account]
    journal: JournalStats
    replayed: Mapping[tuple[str, str], int]
    letters: Mapping[tuple[str, str], LetterSum]
    letters_pruned: Mapping[tuple[str, str], int]
    failovers: Mapping[tuple[str, str], int]
    ring: list[str]
    cluster: str
    queued_bytes: int
    dropped_notifications: int
    unknown_messages: int


def lags(
    journal: Journal, sinks: Mapping[str, SinkStats], accounts: Sequence[Account], now: float
) -> dict[tuple[str, str], float]:
    """Return the age in seconds of each lane's oldest event that is not acknowledged, else 0."""
    found: dict[tuple[str, str], float] = {}
    # Looked up once, with one reader: there may be a thousand lanes that wait.
    lanes: dict[str, Mapping[str, Lane]] = {}
    for name in {account.sink for account in accounts if account.pending}:
        with suppress(KeyError):  # unregistered meanwhile
            lanes[name] = journal.lanes(name)
    times: dict[int, int | None] = {}
    with journal.reader() as reader:
        for account in chain.from_iterable(in_parts(accounts)):
            oldest = None
            if account.pending:
                oldest = sinks[account.sink].oldest.get(account.table)
                lane = lanes.get(account.sink, {}).get(account.table)
                if oldest is None and lane is not None:
                    if lane.start not in times:
                        times[lane.start] = reader.time_of(lane.start)
                    oldest = times[lane.start]
            age = max(0.0, now - oldest / 1e6) if oldest is not None else 0.0
            found[account.sink, account.table] = age
    return found
