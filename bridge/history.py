"""What a table's monitor received, read back from the journal.

A read leaves out what was delivered already, and the journal remembers that; neither knows the
other, so the supervisor lends this between them.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.events import Block, Entry
from bridge.journal import Journal, JournalReader


class JournalHistory:
    """Received rows, by table and time.

    Args:
        journal: to be open when something is asked of it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def follow(self, table: str, since: float) -> JournalFollow:
        """Return the place in the journal at a moment, seconds since the epoch."""
        return JournalFollow(self._journal.reader(), table, self.place(since))

    def kept(self, since: float) -> bool:
        """Whether all that was received since a moment is still stored."""
        with self._journal.reader() as reader:
            first, _ = reader.bounds()
            pruned = max([first, *(end for _, end in reader.thinned())])
        return pruned == 0 or self.place(since) > pruned

    def place(self, since: float) -> int:
        """Return an offset before which nothing was received at a moment or after it."""
        return self._journal.offset_at(round(since * 1e6))

    def stream(self, table: str, position: int | None) -> JournalStream:
        """Return a table's entries from an offset on, None for all that are stored."""
        return JournalStream(self._journal.reader(), table, position)


class JournalFollow:
    """A place in the journal that moves on with what is written. Used by one thread."""

    def __init__(self, reader: JournalReader, table: str, position: int) -> None:
        self._reader = reader
        self._table = table
        # What is read from the table and written from here on is delivered by the one who asks.
        self._own = reader.bounds()[1]
        self._position = position

    def more(self) -> Iterator[Block]:
        """Yield the rows written since the last call, but for those read since the place was taken.

        A block comes whole, also where it was begun before the moment.
        """
        while True:
            page = self._reader.read(self._position, tables=[self._table])
            for stored in page.entries:
                entry = stored.entry
                if isinstance(entry, Block) and not self._is_own(stored.offset, entry):
                    yield entry
            if page.next == self._position:
                return
            self._position = page.next

    def _is_own(self, offset: int, block: Block) -> bool:
        return block.type == "read" and block.cause != "update" and offset >= self._own

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


class JournalStream:
    """One table's entries from an offset on, each with its offset. Used by one thread.

    Args:
        reader: of the journal; closed with this.
        table: the qualified name.
        position: an offset; None for the first that is stored.

    Attributes:
        position: up to where entries were given.
        journal: the journal's id, to which positions belong.
    """

    def __init__(self, reader: JournalReader, table: str, position: int | None) -> None:
        self._reader = reader
        self._table = table
        self.journal = self._reader.journal_id()
        self.position = self._reader.bounds()[0] if position is None else position

    def more(self) -> Iterator[tuple[int, Entry | None]]:
        """Yield the entries written since the last call; None where some before it are lost."""
        first, _ = self._reader.bounds()
        if self.position < first:  # the rest was pruned
            self.position = first
            yield first, None
        for _, end in self._reader.thinned():
            if end > self.position:  # it has only what sinks still wait for
                yield end, None
        while True:
            page = self._reader.read(self.position, tables=[self._table])
            if page.damaged:
                yield page.damaged[-1].last + 1, None
            for stored in page.entries:
                yield stored.offset, stored.entry
            if page.next == self.position:
                return
            self.position = page.next

    def close(self) -> None:
        """Close the files."""
        self._reader.close()
