"""The journal: what was received, durable and in order, and how far each sink has come.

Here live the log of entries (`log`, `segment`, `segment_reader`), lanes, counts and dead letters
(`state`, `lane`, `sink_lanes`), their writer (`journal`, put together in `opening`) and reader
(`reader`), pruning (`upkeep`, `thin`) and repair. Kinetica, the making of events and the sinks are
unknown here. May import: errors, events, loop, codec. The only room, with the emulator, that
imports `sqlite3`.
"""

from bridge.journal.blocks import one_event, record_ends
from bridge.journal.filesystem import filesystem_problem
from bridge.journal.journal import Journal
from bridge.journal.letter_store import LetterStore
from bridge.journal.letters import Retried
from bridge.journal.lock import holder_of
from bridge.journal.opening import MIN_SIZE, OnFull
from bridge.journal.overview import overview
from bridge.journal.pauses import WHOLE, Pauses
from bridge.journal.reader import JournalReader
from bridge.journal.records import (
    Account,
    CommitTimes,
    Damage,
    DeadLetter,
    JournalStats,
    Lane,
    LetterFilter,
    LetterLimits,
    LetterSum,
    Move,
    Overview,
    Page,
    SegmentSummary,
    Settled,
    SinkSummary,
    Stored,
    StoredEntry,
    Verdict,
)
from bridge.journal.replay import Letters, Replay, Tally
from bridge.journal.replays import Replays
from bridge.journal.stored import stored_gaps, stored_marks, stored_replays
from bridge.journal.typed import kind_of

__all__ = [
    "MIN_SIZE",
    "WHOLE",
    "Account",
    "CommitTimes",
    "Damage",
    "DeadLetter",
    "Journal",
    "JournalReader",
    "JournalStats",
    "Lane",
    "LetterFilter",
    "LetterLimits",
    "LetterStore",
    "LetterSum",
    "Letters",
    "Move",
    "OnFull",
    "Overview",
    "Page",
    "Pauses",
    "Replay",
    "Replays",
    "Retried",
    "SegmentSummary",
    "Settled",
    "SinkSummary",
    "Stored",
    "StoredEntry",
    "Tally",
    "Verdict",
    "filesystem_problem",
    "holder_of",
    "kind_of",
    "one_event",
    "overview",
    "record_ends",
    "stored_gaps",
    "stored_marks",
    "stored_replays",
]
