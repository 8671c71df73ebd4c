"""The thread of one sink: it takes batches from its backlog and brings them there.

A batch that fails is tried again with backoff, for as long as the destination cannot be
reached. Where the destination answers, and answers with an error, one event may be the
cause: the batch is halved until that event stands alone. It is poison, and goes to the dead
letters, only once the destination has accepted another event since: a destination that
refuses everything is broken, and its events wait.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from bridge.delivery.attempts import Outcome, attempt
from bridge.delivery.backlog import Backlog
from bridge.delivery.cursor import Cursor
from bridge.delivery.ledger import Ledger
from bridge.delivery.rendering import Renderer
from bridge.delivery.standing import SinkStats, Standing
from bridge.errors import BridgeError, JournalError, Reject, Retry
from bridge.events import Event
from bridge.journal import Journal
from bridge.sinks.base import NotConnected, Sink, SinkSettings

log = structlog.get_logger()

_POLL_SECONDS = 0.2
# How many events after one that fails are tried to tell it from a broken destination.
_MOST_FOLLOWING = 8


@dataclass(slots=True)
class _Piece:
    """Some events of a batch that are tried together.

    Attributes:
        isolating: cut from a piece that was tried often enough: halve at once.
        accepted_before: successes of the worker when this piece first failed, -1 before.
        parents_before: the same of the piece it was first cut from.
    """

    events: list[Event]
    attempts: int = 0
    isolating: bool = False
    accepted_before: int = -1
    parents_before: int = -1


class _Stopped(Exception):
    """The worker is to end."""


class Worker:
    """Deliver one sink's events.

    Owns the sink; waits for the journal and for backoffs; `stop` lets it deliver what is
    there, and end at the first failure.

    Args:
        name: the sink's id.
        tables: the tables routed to it.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        settings: SinkSettings,
        tables: Collection[str],
        journal: Journal,
        renderer: Renderer,
    ) -> None:
        self.name = name
        self._sink = sink
        self._batch = settings.batch
        self._retry = settings.retry
        self._tables = frozenset(tables)
        self._journal = journal
        self._renderer = renderer
        self._cursor = Cursor(journal, name)
        self._ledger = Ledger(name)
        self._pieces: deque[_Piece] = deque()
        self._backlog: Backlog
        self._open = False
        self._accepted = 0
        self._stopping = threading.Event()
        self._standing = Standing(name)
        self._attempts = 0
        self._busy = 0.0
        self._abandoned = False
        self._before: Worker | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        """Start delivering from the sink's cursor."""
        self._journal.register(self.name, self._tables)
        self._thread.start()

    def replace(self, other: Worker) -> None:
        """Start in the place of another worker of the same sink, once that has let go."""
        other.abandon()
        self._before = other
        self._thread.start()

    def abandon(self) -> None:
        """Ask the worker to end after the batch in hand."""
        self._abandoned = True
        self._stopping.set()

    def stop(self) -> None:
        """Ask the worker to deliver what is in the journal and end."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Wait for the end; False if it did not come within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stats(self) -> SinkStats:
        """Return a snapshot."""
        first = self._ledger.first
        return SinkStats(
            self._standing.state,
            self._standing.error,
            first.time if first is not None else None,
            self._attempts,
            self._standing.failures,
            self._busy,
        )

    # The rest runs in the worker's thread.

    def _run(self) -> None:
        if self._before is not None:
            # It may hang in its destination; nobody but this sink waits for that.
            while not self._before.join(_POLL_SECONDS):
                if self._stopping.is_set():
                    return
            self._before = None
            self._journal.register(self.name, self._tables)
        with self._journal.reader() as reader:
            self._backlog = Backlog(
                self.name,
                self._tables,
                self._journal.cursor(self.name),
                reader,
                self._renderer,
                keyed=self._sink.keyed,
            )
            try:
                while not self._abandoned and self._fill():
                    while self._pieces:
                        self._try_first()
                self._write_cursor()
            except _Stopped:
                pass
            except Exception as error:
                if self._abandoned:
                    return  # its sink may be gone from the journal by now
                # A fault of ours must show: this sink stands still, the others go on.
                log.exception("sink_failed", sink=self.name)
                self._standing.fail(Retry(_text(error)))
            finally:
                self._close()

    def _fill(self) -> bool:
        """Take the next batch in hand; False once stopping and all is delivered."""
        backlog, batch = self._backlog, self._batch
        deadline: float | None = None
        while True:
            unsendable = backlog.next_unsendable()
            if unsendable is not None:
                self._cursor.move(unsendable.end, unsendable.settled, unsendable.dead_letters)
                continue
            if not self._open and not self._stopping.is_set():
                self._connect()
            full = backlog.holds(batch.max_events, batch.max_bytes)
            moved = not full and self._read()
            if full or (len(backlog) and not moved and _passed(deadline)):
                break
            if moved:
                if deadline is None and len(backlog):
                    deadline = time.monotonic() + batch.max_wait
                continue
            if self._stopping.is_set():
                if not len(backlog):
                    return False
                break
            self._wait(deadline)
        events = backlog.take(batch.max_events, batch.max_bytes)
        if events:
            self._ledger.add(events)
            self._pieces.append(_Piece(events))
        return True

    def _wait(self, deadline: float | None) -> None:
        """Wait for more to read, and write the cursor down when that is due."""
        now = time.monotonic()
        until = now + _POLL_SECONDS
        if deadline is not None:
            until = min(until, deadline)
        if self._cursor.due is not None:
            until = min(until, self._cursor.due)
        self._journal.wait(self._backlog.read_to, max(0.0, until - now))
        self._write_cursor()

    def _write_cursor(self) -> None:
        """Write the cursor down if that is due, or if this is the end."""
        due = self._cursor.due
        if due is None or (time.monotonic() < due and not self._stopping.is_set()):
            return
        try:
            self._cursor.write()
        except JournalError as error:
            log.error("cursor_not_written", sink=self.name, cause=str(error))
            self._stopping.wait(1.0)

    def _read(self) -> bool:
        moved = self._backlog.read()
        if moved and not len(self._backlog):
            # Only other sinks' events: the cursor follows, so that they can be pruned.
            self._cursor.move(self._backlog.read_to, ())
        return moved

    def _try_first(self) -> None:
        """Try the first piece once, and put it back as far as it has to go out again."""
        if not self._open:
            self._connect()
        piece = self._pieces[0]
        outcome = self._attempt(piece.events)
        self._settle(outcome)
        if not outcome.again:
            self._pieces.popleft()
            return
        error = outcome.error
        if isinstance(error, Reject):
            self._halve(piece)
            return
        if error is None:
            raise AssertionError("events to send again, without a reason")
        if len(outcome.again) < len(piece.events):
            piece.attempts = 0
        piece.events = outcome.again
        piece.attempts += 1
        if piece.accepted_before < 0:
            piece.accepted_before = self._accepted
        self._standing.fail(error)
        if isinstance(error, NotConnected):
            self._close()
        if error.answered and (piece.isolating or piece.attempts >= self._retry.max_attempts):
            if len(piece.events) > 1:
                self._halve(piece)
            elif self._is_poison(piece):
                self._set_aside(piece.events[0], error)
                self._pieces.popleft()
                self._write_down()
                return
        self._pause(piece.attempts, error)

    def _attempt(self, events: list[Event]) -> Outcome:
        started = time.monotonic()
        outcome = attempt(self._sink, events)
        self._busy += time.monotonic() - started
        self._attempts += 1
        if outcome.delivered:
            self._accepted += 1
        if outcome.error is None:
            self._standing.succeed()
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        self._ledger.deliver(outcome.delivered)
        for event, reason in outcome.rejected:
            log.warning("event_rejected", sink=self.name, id=event.id, cause=reason)
            self._ledger.set_aside(event, reason)
        self._write_down()

    def _write_down(self) -> None:
        prefix = self._ledger.pop_prefix()
        if prefix is None:
            return
        nothing_left = not len(self._ledger) and not len(self._backlog)
        to = self._backlog.read_to if nothing_left else prefix.to
        while True:
            try:
                self._cursor.move(to, prefix.settled, prefix.dead_letters)
            except JournalError as error:
                # Delivered, and not written down: a crash now means a duplicate, no loss.
                log.error("cursor_not_written", sink=self.name, cause=str(error))
                if self._stopping.wait(1.0):
                    raise _Stopped from error
            else:
                return

    def _halve(self, piece: _Piece) -> None:
        self._pieces.popleft()
        middle = len(piece.events) // 2
        parents = piece.parents_before if piece.isolating else piece.accepted_before
        for half in (piece.events[middle:], piece.events[:middle]):
            self._pieces.appendleft(_Piece(half, isolating=True, parents_before=parents))

    def _is_poison(self, piece: _Piece) -> bool:
        """Whether the destination has accepted another event since this one first failed.

        If none was tried since, the next one is, and with every try one more. That keeps the
        order: one of them only counts if all before it are set aside.
        """
        if self._accepted > piece.accepted_before:
            return True
        failed: list[tuple[Event, Retry]] = []
        following = self._following(min(piece.attempts, _MOST_FOLLOWING))
        for event in following:
            outcome = self._attempt([event])
            self._settle(outcome)
            error = outcome.error
            if error is None:
                self._forget(event)
            elif isinstance(error, Reject) or not error.answered:
                return False
            else:
                failed.append((event, error))
            if outcome.delivered:
                for other, reason in failed:
                    self._set_aside(other, reason)
                    self._forget(other)
                return True
        enough = piece.attempts >= self._retry.max_attempts
        return not following and enough and 0 <= piece.parents_before < self._accepted

    def _following(self, count: int) -> list[Event]:
        """Return events that come after the first piece, without taking them from theirs."""
        found = [event for piece in list(self._pieces)[1:] for event in piece.events]
        if len(found) < count:
            self._backlog.read()
            more = self._backlog.take(self._batch.max_events, self._batch.max_bytes)
            if more:
                self._ledger.add(more)
                self._pieces.append(_Piece(more))
                found += more
        return found[:count]

    def _forget(self, event: Event) -> None:
        """Take a settled event out of the piece that it waits in."""
        piece = next(piece for piece in self._pieces if event in piece.events)
        piece.events.remove(event)
        if not piece.events:
            self._pieces.remove(piece)

    def _set_aside(self, event: Event, error: Retry) -> None:
        reason = f"the destination fails on it and accepts others: {error}"
        log.warning("event_set_aside", sink=self.name, id=event.id, cause=str(error))
        self._ledger.set_aside(event, reason)

    # The connection, and what is said of it.

    def _connect(self) -> None:
        attempts = 0
        while not self._open:
            try:
                self._sink.open()
            except Exception as error:  # noqa: BLE001 (whatever a sink raises, it is not open)
                attempts += 1
                cause = error if isinstance(error, Retry) else Retry(_text(error))
                self._standing.fail(cause)
                self._pause(attempts, cause)
            else:
                self._open = True
                if not self._pieces:
                    self._standing.succeed()

    def _close(self) -> None:
        self._open = False
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 (closing is a courtesy)
            log.warning("sink_close_failed", sink=self.name, cause=_text(error))

    def _pause(self, attempts: int, error: Retry) -> None:
        if self._stopping.is_set():
            raise _Stopped
        longest = min(
            self._retry.max_backoff, self._retry.initial_backoff * 2 ** min(attempts - 1, 20)
        )
        seconds = longest * random.uniform(0.5, 1.0)  # noqa: S311 (jitter is no secret)
        if error.after is not None:
            seconds = max(seconds, error.after)
        if self._stopping.wait(seconds):
            raise _Stopped


def _passed(deadline: float | None) -> bool:
    return deadline is None or time.monotonic() >= deadline


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, BridgeError) else f"{type(error).__name__}: {error}"
