"""Where cursors move on disk: what became of events is written down, in order.

What cannot be written is kept and tried again. It is delivered all the same: a crash meanwhile
means duplicates, no loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge.delivery.health import Journalist, text_of
from bridge.delivery.letters import LetterMaker
from bridge.delivery.sources import Source
from bridge.errors import JournalError
from bridge.journal import Move
from bridge.loop import backoff


class Ledger:
    """The moves of one courier's lanes. Used by its thread alone.

    Args:
        name: the sink's id.
        journal: where they are settled.
        journalist: logs what is set aside, and what fails.
        pause: waits so many seconds.
        leaving: whether the sink may be configured no more.
        letters: makes dead letters whole.

    Attributes:
        fault: why they cannot be written, None where they can.
    """

    def __init__(
        self,
        name: str,
        journal: Source,
        journalist: Journalist,
        pause: Callable[[float], None],
        leaving: Callable[[], bool],
        letters: LetterMaker,
    ) -> None:
        self._name = name
        self._journal = journal
        self._journalist = journalist
        self._pause = pause
        self._leaving = leaving
        self._letters = letters
        self._unwritten: deque[list[Move]] = deque()  # what one try settled, in order
        self._failed = 0
        self.fault: str | None = None

    @property
    def behind(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._unwritten)

    def write(self, moves: Sequence[Move | None] = ()) -> bool:
        """Write down what became of events, after what could not be written before.

        Returns:
            False, after a pause, if the journal fails.
        """
        if known := [move for move in moves if move is not None]:
            self._unwritten.append(known)
        try:
            while self._unwritten:
                self._settle(self._unwritten[0])
                self._tell(self._unwritten.popleft())
                self._failed, self.fault = 0, None
        except (JournalError, OSError) as error:
            self._failed += 1
            self.fault = text_of(error)
            self._journalist.warn("cursor_not_written", cause=self.fault)
            self._pause(backoff(self._failed))
            return False
        except KeyError:
            if not self._leaving():
                raise
            self.forget()  # the sink is not configured any more
        return True

    def forget(self) -> None:
        """Let go of what is not written; it is delivered again."""
        self._unwritten.clear()
        self.fault = None

    def close(self) -> None:
        """Write what is left, if that can be."""
        with suppress(Exception):  # it was told already; the cost is duplicates
            while self._unwritten:
                self._settle(self._unwritten.popleft())
        self._letters.close()

    def _settle(self, moves: Sequence[Move]) -> None:
        self._journal.settle(self._name, self._letters.complete(moves))

    def _tell(self, moves: Sequence[Move]) -> None:
        for move in moves:
            for letter in move.dead_letters:
                table, cause = move.table, letter.reason
                self._journalist.warn(
                    "event_set_aside", table, table=table, id=letter.id, cause=cause
                )
