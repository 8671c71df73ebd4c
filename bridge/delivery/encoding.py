"""From stored entries to lines, in bulk and once for all sinks that want the same form.

An entry is encoded in pieces, so that a megabyte of narrow rows never becomes a hundred of lines
at once. Sinks that keep pace with each other ask for the same pieces at about the same time: the
last ones are kept, and who asks for one that another thread is making waits for it.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bridge.codec import Codec, compile_schema
from bridge.errors import Unwritable
from bridge.events import Block, Schema, Undecodable
from bridge.formats.base import Format, Output, Rows
from bridge.formats.json import JsonFormat
from bridge.formats.shape import PLAIN, Shape
from bridge.journal import Stored
from bridge.journal.blocks import times_of
from bridge.lines import Lines

_KEPT_BYTES = 16 * 2**20
# What keeping a piece takes besides its lines: objects, and what allocators leave behind buffers
# that were shrunk. Of single events it is nearly all.
KEPT_OVERHEAD = 6 * 2**10
# What one piece has at most, if it is more than one record. An event is about 220 bytes and its
# record, of which a byte becomes six at worst.
_PIECE_RECORDS = 16_384
_PIECE_BYTES = 2**19
# Of what a format puts beside records and envelopes: schemas that each event carries, say.
_PIECE_WEIGHT = 2**22


class Piece(NamedTuple):
    """Some records of an entry: from `begin` to `end`, at these bytes of its payload.

    Attributes:
        unwritable: why its one record has no form; None for all that can be encoded.
    """

    begin: int
    end: int
    from_byte: int
    to_byte: int
    unwritable: str | None = None


class _Making:
    """The lines of a piece, maybe still in the making; `made` is held until then."""

    __slots__ = ("error", "lines", "made", "size")

    def __init__(self) -> None:
        self.made = threading.Lock()
        self.made.acquire()
        self.size = 0
        self.lines: Lines | None = None
        self.error: BaseException | None = None

    def result(self) -> Lines:
        """Wait for the lines; raises what their making raised."""
        with self.made:
            if self.lines is None:
                raise self.error or AssertionError("neither lines nor an error")
            return self.lines


# A piece in one form: its first offset and its end, who writes it how, and whether with keys.
_Name = tuple[int, int, Format, Shape, bool]


class Encoder:
    """Turn stored entries into lines. Any thread may call.

    Args:
        journal_id: 16 hexadecimal digits, the first part of every event's id.
        keep_bytes: of lines kept for other sinks.
    """

    def __init__(self, journal_id: str, *, keep_bytes: int = _KEPT_BYTES) -> None:
        self.journal_id = journal_id
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()  # guards all below
        self._keyed = False  # whether anybody has asked for keys; then plain lines have them
        self._codecs: dict[Schema, Codec] = {}
        self._kept: OrderedDict[_Name, _Making] = OrderedDict()
        self._kept_bytes = 0

    def pieces(self, stored: Stored, output: Output) -> list[Piece]:
        """Cut an entry into what is encoded at once, the same way each time for equal formats.

        Raises:
            DecodeError: its bytes are no records of its layout.
        """
        entry = stored.entry
        if not isinstance(entry, Block):
            return [Piece(0, stored.count, 0, 0)]
        size, records = len(entry.payload), _PIECE_RECORDS
        shape = output.shapes.get(entry.table, PLAIN)
        weight = output.format.weight(entry.table, entry.schema, shape)
        if weight:
            records = min(records, max(1, _PIECE_WEIGHT // weight))
        if stored.count <= records and size <= _PIECE_BYTES:
            return [Piece(0, stored.count, 0, size)]
        ends = self._codec(entry.schema).ends(entry.payload, entry.count)
        pieces, begin, at = [], 0, 0
        while begin < stored.count:
            most = min(begin + records, stored.count)
            end = max(begin + 1, bisect_right(ends, at + _PIECE_BYTES, begin, most))
            to = int(ends[end - 1])
            pieces.append(Piece(begin, end, at, to))
            begin, at = end, to
        return pieces

    def around(self, stored: Stored, piece: Piece, error: Unwritable) -> list[Piece]:
        """Cut a piece into the records that have no form, each alone, and those between them."""
        entry, count = stored.entry, piece.end - piece.begin
        if not isinstance(entry, Block):
            raise TypeError("only rows have values")
        payload = entry.payload[piece.from_byte : piece.to_byte]
        ends = [0, *self._codec(entry.schema).ends(payload, count)]
        pieces, at = [], 0
        for index, reason in [*error.bad, (count, "")]:
            for start, stop, why in ((at, index, None), (index, index + 1, reason)):
                if start < stop <= count:
                    from_byte, to_byte = piece.from_byte + ends[start], piece.from_byte + ends[stop]
                    begin, end = piece.begin + start, piece.begin + stop
                    pieces.append(Piece(begin, end, from_byte, to_byte, why))
            at = index + 1
        return pieces

    def lines(self, stored: Stored, piece: Piece, output: Output) -> Lines:
        """Return the events of a piece of an entry.

        Args:
            stored: the entry; not one that is undecodable.
            piece: one of `pieces`.
            output: the form that is wanted; there may be keys where it wants none.

        Raises:
            DecodeError: its bytes are no records of its layout.
            Unwritable: some have values without a form; `around` tells them from the others.
            Retry: it cannot be written now, or not in this shape; its table waits.
        """
        shape = output.shapes.get(stored.entry.table, PLAIN)
        with self._lock:
            self._keyed |= output.wants_keys
            # So that sinks with and without keys share them; shaping may leave out a key.
            keyed = output.wants_keys or (self._keyed and not shape.stages)
            name = (stored.offset + piece.begin, piece.end, output.format, shape, keyed)
            making = self._kept.get(name)
            if making is None:
                mine = self._kept[name] = _Making()
        if making is not None:
            return making.result()
        try:
            mine.lines = lines = self._encode(stored, piece, output.format, shape, keyed=keyed)
        except BaseException as error:
            mine.error = error
            with self._lock:
                if self._kept.get(name) is mine:
                    del self._kept[name]
            raise
        finally:
            mine.made.release()
        self._keep(name, mine, lines.nbytes + KEPT_OVERHEAD)
        return lines

    def _keep(self, name: _Name, made: _Making, size: int) -> None:
        with self._lock:
            if self._kept.get(name) is not made:
                return
            made.size = size
            self._kept_bytes += size
            while self._kept_bytes > self._keep_bytes and self._kept:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= oldest.size

    def _encode(
        self, stored: Stored, piece: Piece, form: Format, shape: Shape, *, keyed: bool
    ) -> Lines:
        entry = stored.entry
        if isinstance(entry, Undecodable):
            raise TypeError("a frame that does not decode has no lines")
        if not isinstance(entry, Block):
            return form.single(self.journal_id, stored.offset, entry)
        count = piece.end - piece.begin
        whole = count == stored.count
        return form.rows(
            Rows(
                self.journal_id,
                stored.offset + piece.begin,
                entry,
                self._codec(entry.schema),
                shape,
                keyed,
                entry.payload if whole else entry.payload[piece.from_byte : piece.to_byte],
                count,
                entry.times if whole else times_of(entry.times, piece.begin, count),
            )
        )

    def _codec(self, schema: Schema) -> Codec:
        codec = self._codecs.get(schema)
        if codec is None:
            codec = self._codecs[schema] = compile_schema(schema)
        return codec


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes entries in one form; the methods are those of `Encoder`. Any thread may call.

    Attributes:
        encoder: of the journal.
        output: the form.
    """

    encoder: Encoder
    output: Output

    @classmethod
    def of_json(cls, journal_id: str, shapes: Mapping[str, Shape]) -> Writer:
        """Return one that writes what people look at, and keeps nothing of it."""
        output = Output(JsonFormat(), dict(shapes), keyed=False)
        return cls(Encoder(journal_id, keep_bytes=0), output)

    def in_json(self) -> Writer:
        """Return one that writes JSON without keys, in the same shapes."""
        return Writer(self.encoder, Output(JsonFormat(), self.output.shapes, keyed=False))

    def event_id(self, offset: int) -> str:
        """Return the id of the event at an offset."""
        return f"{self.encoder.journal_id}-{offset}"

    def pieces(self, stored: Stored) -> list[Piece]:
        """Cut an entry into what is encoded at once."""
        return self.encoder.pieces(stored, self.output)

    def lines(self, stored: Stored, piece: Piece) -> Lines:
        """Return the events of a piece of an entry."""
        return self.encoder.lines(stored, piece, self.output)
