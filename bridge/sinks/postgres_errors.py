"""What an error of PostgreSQL is about: the connection, the table, or the rows."""

from __future__ import annotations

import psycopg

from bridge.errors import Reject, Retry
from bridge.foreign import Cleaner
from bridge.sinks.base import NotConnected

# By SQLSTATE, or its class. https://www.postgresql.org/docs/current/errcodes-appendix.html
_GONE = ("08", "57P", "25006", "28", "3D")  # connection, shutdown, a standby, refused
# Values, constraints, two rows of one key, checks of views, limits, a trigger.
_ROWS = ("22", "23", "21000", "44", "54", "P0001")
_LATER = ("40", "53", "55", "58")  # deadlocks, no space, locks, the disk
_TABLE = ("0A", "0L", "3F", "42", "428C9")  # names, types, rights
_POLICY = "ExecWithCheckOptions"  # of rows; the state is that of a missing right

_CURES = {
    "42P01": "create it: the sink knows no types",
    "42P10": "create a unique index on them",
    "42703": "add it, or see exclude and rename",
    "57014": "see timeout and batch.max_events",
}


def verdict(error: psycopg.Error, clean: Cleaner) -> Retry | Reject:
    """Return what a sink says of an error."""
    state, text = error.sqlstate, text_of(error, clean)
    if state is None or state.startswith(_GONE):
        return NotConnected(text)
    answer = f"{state} {text}"
    if state.startswith(_ROWS) or error.diag.source_function == _POLICY:
        return Reject(text, answer=answer)
    if cure := _CURES.get(state):
        text = f"{text} ({cure})"
    # An error that no class explains, and too much work at once, may be the rows' fault: it counts
    # as one after some tries.
    return Retry(text, answer=answer, answered=not state.startswith((*_LATER, *_TABLE)))


def text_of(error: psycopg.Error, clean: Cleaner) -> str:
    """Return what the server or libpq said, on one line, without secrets."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    detail = error.diag.message_detail
    return clean(f"{said}: {detail}" if detail else said)
