"""The journal: what was received, durable and in order, and how far each sink has come.

Here live the log of entries (`segment`, `segment_reader`), cursors, counts and dead letters
(`state`, `tally`), their writer (`journal`) and reader (`reader`), pruning and repair.
Kinetica, the making of events and the sinks are unknown here. May import: errors, events. The
only room, with the emulator, that imports `sqlite3`.
"""

from bridge.journal.filesystem import filesystem_problem
from bridge.journal.journal import MIN_SIZE, Journal, OnFull
from bridge.journal.reader import JournalReader
from bridge.journal.records import (
    Account,
    CommitTimes,
    Damage,
    DeadLetter,
    JournalStats,
    Overview,
    Page,
    Records,
    SegmentSummary,
    Settled,
    SinkSummary,
    Stored,
    StoredEntry,
    Verdict,
)

__all__ = [
    "MIN_SIZE",
    "Account",
    "CommitTimes",
    "Damage",
    "DeadLetter",
    "Journal",
    "JournalReader",
    "JournalStats",
    "OnFull",
    "Overview",
    "Page",
    "Records",
    "SegmentSummary",
    "Settled",
    "SinkSummary",
    "Stored",
    "StoredEntry",
    "Verdict",
    "filesystem_problem",
]
