"""Sinks as an operator sees them, table by table, and what is asked of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bridge.delivery.verdicts import BY_HAND
from bridge.delivery.worker import Worker
from bridge.errors import BridgeError
from bridge.events import rfc3339
from bridge.journal import (
    WHOLE,
    Account,
    DeadLetter,
    Journal,
    Lane,
    LetterFilter,
    Overview,
)
from bridge.supervisor.snapshot import Snapshot


class SinkDesk:
    """Shows sinks, and takes requests. Any thread may call.

    Args:
        journal: open while the service runs.
        snapshot: gives what is shown, None unless it runs.
        worker: gives the worker of a sink; raises `KeyError` where there is none.
    """

    def __init__(
        self,
        journal: Journal,
        snapshot: Callable[[], Snapshot | None],
        worker: Callable[[str], Worker],
    ) -> None:
        self._journal = journal
        self._snapshot = snapshot
        self._worker = worker

    def all(self) -> list[dict[str, Any]]:
        """Return every sink with its lanes."""
        snapshot = self._snapshot()
        if snapshot is None:
            return []
        return [self._one(snapshot, sink) for sink in sorted(snapshot.sinks)]

    def one(self, sink: str) -> dict[str, Any]:
        """Return one sink with its lanes.

        Raises:
            KeyError: there is no such sink.
        """
        snapshot = self._snapshot()
        if snapshot is None:
            raise KeyError(sink)
        return self._one(snapshot, sink)

    def _one(self, snapshot: Snapshot, sink: str) -> dict[str, Any]:
        stats = snapshot.sinks[sink]
        lanes = self._journal.lanes(sink)
        paused = self._journal.pauses.of(sink)
        tables = []
        for account in snapshot.accounts:
            if account.sink != sink or account.table not in lanes:
                continue
            table = account.table
            error = stats.waiting.get(table)
            state = stats.state if error is None else "retrying"
            if table in paused or WHOLE in paused:
                state, error = "paused", None
            letters = snapshot.letters.get((sink, table))
            lag = snapshot.lags[sink, table]
            tables.append(
                lane_fields(account, lanes[table], 0 if letters is None else letters.count)
                | {"state": state, "error": error or (stats.error if state != "paused" else None)}
                | {"lag_seconds": round(lag, 3), "paused_since": _since(paused, table)}
            )
        return {
            "sink": sink,
            "state": stats.state,
            "error": stats.error,
            "paused_since": _since(paused, WHOLE),
            "dead_letters": sum(each["dead_letters"] for each in tables),
            "tables": tables,
        }

    def pause(self, sink: str, table: str | None) -> bool:
        """Let a sink or one of its tables rest; False if it rests already.

        Raises:
            KeyError: there is no such sink, or it does not get the table.
            JournalError: it could not be noted; nothing changed.
        """
        worker = self._require(sink, table)
        changed = self._journal.pauses.pause(sink, table or WHOLE, int(time.time() * 1e6))
        worker.look()
        return changed

    def resume(self, sink: str, table: str | None) -> bool:
        """Let it go on; False if it does not rest. Raises as `pause`."""
        worker = self._require(sink, table)
        changed = self._journal.pauses.resume(sink, table or WHOLE)
        worker.look()
        return changed

    def skip(self, sink: str, table: str) -> DeadLetter | None:
        """Set the first waiting event of a table aside by hand, and return it.

        Returns:
            None where nothing waits.

        Raises:
            KeyError: there is no such sink, or it does not get the table.
            BridgeError: a try is under way that does not end.
        """
        worker = self._require(sink, table)
        with self._journal.reader() as reader:
            before = reader.last_letter()
            try:
                if not worker.skip(table):
                    return None
            except TimeoutError as error:
                raise BridgeError(str(error)) from None
            which = LetterFilter(sink, table, reason=BY_HAND, after=before)
            found = reader.dead_letters(which, limit=1)
        return found[0] if found else None

    def _require(self, sink: str, table: str | None) -> Worker:
        worker = self._worker(sink)
        if table is not None and table not in self._journal.lanes(sink):
            raise KeyError(table)
        return worker


def lane_fields(account: Account, lane: Lane, dead_letters: int) -> dict[str, Any]:
    """Return what the journal alone says of a lane."""
    return {
        "table": account.table,
        "cursor": lane.cursor,
        "received": account.received,
        "delivered": account.delivered,
        "dead_lettered": account.dead_lettered,
        "discarded": account.discarded,
        "pending": account.pending,
        "waiting": len(lane.waiting),
        "dead_letters": dead_letters,
    }


def stored_sinks(
    found: Overview, paused: dict[tuple[str, str], int], letters: dict[tuple[str, str], int]
) -> Iterator[dict[str, Any]]:
    """Return every sink with its lanes as they are in the journal, where no service runs."""
    for sink in found.sinks:
        own = {table: at for (of, table), at in paused.items() if of == sink.sink}
        tables = []
        for account in sink.accounts:
            lane = sink.lanes.get(account.table)
            if lane is None:
                continue
            rests = not {account.table, WHOLE}.isdisjoint(own)
            fields = lane_fields(account, lane, letters.get((sink.sink, account.table), 0))
            more = {"state": "paused" if rests else "stopped", "error": None, "lag_seconds": None}
            tables.append(fields | more | {"paused_since": _since(own, account.table)})
        yield {
            "sink": sink.sink,
            "state": "paused" if WHOLE in own else "stopped",
            "error": None,
            "paused_since": _since(own, WHOLE),
            "dead_letters": sink.dead_letters,
            "tables": tables,
        }


def _since(paused: Mapping[str, int], table: str) -> str | None:
    at = paused.get(table)
    return None if at is None else rfc3339(at)
