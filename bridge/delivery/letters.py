"""Dead letters made whole: the entry of their one event, and the event as their sink would see it.

Both are made where an event is set aside, from what the journal has at its offset: a letter
outlives the journal's entry, and can be delivered again in any form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bridge.delivery.encoding import Piece, Writer
from bridge.delivery.sources import Reader
from bridge.errors import BridgeError
from bridge.events import Block, Undecodable
from bridge.formats.json import JsonFormat
from bridge.journal import (
    DeadLetter,
    Move,
    Stored,
    StoredEntry,
    one_event,
    record_ends,
)

# What is kept of a destination's answer.
MOST_ANSWER = 2048


class LetterMaker:
    """Completes the dead letters of one courier. Used by its thread alone.

    Args:
        reader: of the journal; closed by `close`.
        writer: in the sink's form.
    """

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        # The last entry looked at: where much is refused, the next letter is of it, too.
        self._stored: Stored | None = None
        self._ends: Sequence[int] = ()

    def close(self) -> None:
        """Let go of the journal's files; may be used again."""
        self._stored, self._ends = None, ()
        self._reader.close()

    def complete(self, moves: Sequence[Move]) -> Sequence[Move]:
        """Return moves with their letters made whole.

        Raises:
            JournalError: the journal cannot be read just now.
        """
        if not any(move.dead_letters for move in moves):
            return moves
        return [
            replace(move, dead_letters=tuple(map(self.whole, move.dead_letters))) for move in moves
        ]

    def whole(self, letter: DeadLetter) -> DeadLetter:
        """Return a letter with its entry, if the journal still has it; raises as `complete`."""
        if letter.raw is not None or letter.entry is not None:
            return letter
        if self._stored is None or not _holds(self._stored, letter):
            self._find(letter)
        answer = None if letter.answer is None else letter.answer[:MOST_ANSWER]
        stored, plain = self._stored, isinstance(self._writer.output.format, JsonFormat)
        if stored is None:  # it went meanwhile: drop_oldest, or damage
            return replace(letter, value=letter.value if plain else None, answer=answer)
        entry = one_event(stored, letter.offset, self._ends)
        value = letter.value
        if not plain:
            value = as_json(self._writer, letter.offset, entry)
        return replace(letter, value=value, answer=answer, entry=entry)

    def _find(self, letter: DeadLetter) -> None:
        self._stored, self._ends = None, ()
        tables = frozenset((letter.table,))
        page = self._reader.read(letter.offset, max_bytes=1, max_entries=1, tables=tables)
        for stored in page.entries[:1]:
            if _holds(stored, letter):
                self._stored = stored
                if isinstance(stored.entry, Block):
                    self._ends = record_ends(stored.entry)


def as_json(writer: Writer, offset: int, entry: StoredEntry) -> bytes | None:
    """Return the entry of one event as JSON in a sink's shape; None where it has no such form.

    Args:
        writer: in the sink's form; its shapes hold, not its format.
        offset: of the event.
        entry: of one event.
    """
    if isinstance(entry, Undecodable):
        return None
    size = len(entry.payload) if isinstance(entry, Block) else 0
    try:
        lines = writer.in_json().lines(Stored(offset, 1, entry), Piece(0, 1, 0, size))
    except BridgeError:  # its shape does not fit it, say
        return None
    return lines.event(0).value


def _holds(stored: Stored, letter: DeadLetter) -> bool:
    return (
        stored.entry.table == letter.table
        and stored.offset <= letter.offset < stored.offset + stored.count
    )
