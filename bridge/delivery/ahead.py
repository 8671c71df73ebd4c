"""Lines of what comes next are made while a sink is at work with what came before.

Writing lines takes a core, and waiting for a disk or a broker none: together they take as long as
the longer of the two. Only a sink that has a backlog is helped, and whoever is slower than this
thread finds the lines among those the encoder keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from bridge.delivery.encoding import KEPT_OVERHEAD, Piece, Writer
from bridge.journal import Stored
from bridge.loop import Loop

# Less than the encoder keeps, so that what is made is still there when it is taken.
_MOST_BYTES = 10 * 2**20

# An entry, and those of its pieces that are to come; none where it is not cut yet.
Coming = tuple[Stored, Sequence[Piece]]


class Ahead:
    """A thread that has lines made. Any thread may ask.

    Args:
        name: the sink's id.
        writer: in the sink's form; its encoder keeps what is made.

    Attributes:
        loop: its thread.
    """

    def __init__(self, name: str, writer: Writer) -> None:
        self._writer = writer
        self._wishes: SimpleQueue[Sequence[Coming] | None] = SimpleQueue()
        self.loop = Loop(f"sink-{name}-ahead", self._step)

    def ask(self, coming: Sequence[Coming]) -> None:
        """Have what comes next made, unless an older wish still waits."""
        if coming and self._wishes.empty():
            self._wishes.put(coming)

    def stop(self) -> None:
        """Let the thread end after the piece that is in the making."""
        self.loop.stop()
        self._wishes.put(None)

    def _step(self) -> bool:
        coming = self._wishes.get()
        if coming is None:
            return False
        with suppress(Exception):  # whoever takes the entry meets the same fault, and says so
            self._make(coming)
        return True

    def _make(self, coming: Sequence[Coming]) -> None:
        left = _MOST_BYTES
        for stored, pieces in coming:
            for piece in pieces or self._writer.pieces(stored):
                if left <= 0 or not self._wishes.empty():
                    return
                lines = self._writer.lines(stored, piece)
                left -= lines.nbytes + KEPT_OVERHEAD
