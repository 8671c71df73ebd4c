"""What comes next is encoded while a sink is at work, and nothing depends on it."""

from __future__ import annotations

from dataclasses import replace

from services.delivery import block, output
from services.process import wait_until

from bridge.delivery.ahead import Ahead
from bridge.delivery.encoding import Encoder, Piece, Writer
from bridge.formats.base import Output
from bridge.journal import Stored
from bridge.lines import Lines

ID = "9f86d081884c7d65"


class Watched(Encoder):
    """An encoder that notes which offsets it was asked for, whatever came of it."""

    def __init__(self) -> None:
        super().__init__(ID)
        self.asked: list[int] = []

    def lines(self, stored: Stored, piece: Piece, output: Output) -> Lines:
        try:
            return super().lines(stored, piece, output)
        finally:
            self.asked.append(stored.offset + piece.begin)


def test_lines_are_there_before_they_are_asked_for() -> None:
    """Whoever takes the entry gets what was made meanwhile."""
    encoder = Watched()
    stored = Stored(0, 2, block([1, 2]))
    (piece,) = encoder.pieces(stored, output())
    ahead = Ahead("audit", Writer(encoder, output(keyed=False)))
    ahead.loop.start()

    ahead.ask([(stored, ())])
    wait_until(lambda: encoder.asked, "an entry encoded")
    lines = encoder.lines(stored, piece, output(keyed=False))
    ahead.stop()

    assert len(lines) == 2
    assert lines is encoder.lines(stored, piece, output(keyed=False))
    assert ahead.loop.join(5)


def test_an_entry_that_does_not_decode_ends_nothing() -> None:
    """Its fault is told to whoever takes it."""
    encoder = Watched()
    good = block([1])
    bad = replace(good, payload=b"\xff")
    ahead = Ahead("audit", Writer(encoder, output(keyed=False)))
    ahead.loop.start()

    ahead.ask([(Stored(0, 1, bad), ())])
    wait_until(lambda: encoder.asked, "an entry encoded")
    ahead.ask([(Stored(1, 1, good), ())])
    wait_until(lambda: encoder.asked == [0, 1], "the next one encoded")
    ahead.stop()

    assert ahead.loop.join(5)
    assert ahead.loop.faults == 0
    assert not ahead.loop.dead


def test_it_is_no_more_than_a_batch_ahead() -> None:
    """However much is read, since what it makes is kept in memory."""
    encoder = Watched()
    row = block([1])
    many = replace(row, payload=row.payload * 12_000, count=12_000, times=((12_000, row.time),))
    entries = [Stored(12_000 * n, 12_000, many) for n in range(20)]
    ahead = Ahead("audit", Writer(encoder, output(keyed=False)))
    ahead.loop.start()

    ahead.ask([(each, ()) for each in entries])
    wait_until(lambda: len(encoder.asked) >= 5, "as many encoded as make 10 MiB")
    ahead.stop()

    assert ahead.loop.join(10)
    assert len(encoder.asked) == 5
