"""What some lanes still have to get: read from the journal in step, encoded, cut into batches.

A feed holds a page of raw entries and the rest of one encoded piece, no more. It may be dropped
at any time: another one made from the lanes' cursors goes on at the same place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from bridge.delivery.ahead import Coming
from bridge.delivery.encoding import Piece, Writer
from bridge.delivery.lane import MOST_WAITING, Aside, Lane, Load, Part, Waits
from bridge.delivery.policy import EVERYTHING, MOST_CERTAIN
from bridge.delivery.sources import Reader
from bridge.errors import DecodeError, JournalError, Retry, Unwritable
from bridge.events import Block, Undecodable
from bridge.journal import Damage, DeadLetter, Settled, Stored
from bridge.journal.blocks import times_of
from bridge.lines import Slice

_READ_BYTES = 2 * 2**20
_READ_ENTRIES = 4096


class EncodingFailed(Exception):
    """An entry could not be written as events, for a reason that is not in its bytes."""

    def __init__(self, lane: Lane, stored: Stored, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.lane = lane
        self.stored = stored
        self.cause = cause


class Feed:
    """The line of some lanes of one sink. Used by its courier's thread alone.

    Args:
        sink: the sink's id.
        reader: shared with other feeds of the same thread.
        writer: in the sink's form.
        lanes: those in step; lanes may join with `add` and leave with `drop`.
        position: where to begin reading.
        by_key: whether order is per key, so that a lane goes on beside what waits in it.
        stop: events from here on are left alone.
        only: if given, only these offsets (ascending), whatever the lane says of them.
        live: whether its lanes are read by it in their turn, and not only looked at.
        looking: what no sink can get is passed over, not settled.
    """

    def __init__(
        self,
        sink: str,
        reader: Reader,
        writer: Writer,
        lanes: Sequence[Lane],
        position: int,
        *,
        by_key: bool = False,
        stop: int = EVERYTHING,
        only: Sequence[int] | None = None,
        live: bool = True,
        looking: bool = False,
    ) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self.lanes = {lane.table: lane for lane in lanes}
        self.position = position  # all before it was read
        self._by_key = by_key
        self._stop = stop
        self._only = only
        self._live = live
        self._looking = looking
        self._floor = position if looking else 0
        self._raw: deque[Stored | Damage] = deque()
        self._open: Stored | None = None
        self._pieces: deque[Piece] = deque()
        self._rest: deque[Slice] = deque()

    def __repr__(self) -> str:
        return f"<Feed of {len(self.lanes)} lanes at {self.position}>"

    @property
    def empty(self) -> bool:
        """Whether all that was read has been taken."""
        return not (self._rest or self._pieces or self._raw)

    def drop(self, table: str) -> None:
        """Let a lane go, with all that was read for it."""
        if self.lanes.pop(table, None) is None:
            return
        self._rest = deque(each for each in self._rest if each.table != table)
        if self._open is not None and self._open.entry.table == table:
            self._open = None
            self._pieces.clear()
        self._raw = deque(
            each for each in self._raw if isinstance(each, Damage) or each.entry.table != table
        )

    def rewind(self) -> None:
        """Let go of what was read and not taken; it is read again."""
        held = [each.offset for each in self._rest]
        if self._open is not None and self._pieces:
            held.append(self._open.offset + self._pieces[0].begin)
        held += [_first_offset(each) for each in self._raw]
        self._rest.clear()
        self._pieces.clear()
        self._raw.clear()
        self._open = None
        self.position = min(held, default=self.position)

    def give_back(self, load: Load) -> None:
        """Undo the taking of all that is in a load."""
        self.rewind()
        held = [piece.offset for piece in load.slices[:1]]
        for part in load.parts.values():
            held += [aside.offset for aside in part.asides[:1]]
            held += list(part.parked)[:1]
        self.position = min([self.position, *held])

    def extend(self, load: Load) -> bool:
        """Put in what comes next, until the load is full; False once there is nothing more.

        Raises:
            JournalError: the journal could not be read.
            EncodingFailed: an entry could not be encoded; its lane is to be dropped.
        """
        while not load.full:
            if self._rest:
                if not self._take(load):
                    return True
            elif self._pieces:
                self._encode(load)
            elif self._raw:
                self._begin(load, self._raw.popleft())
            elif not self._read():
                return False
        return True

    def coming(self) -> list[Coming]:
        """Return what is read and not encoded yet, in order; reads on if that is nothing."""
        if not (self._pieces or self._raw):
            with suppress(JournalError, OSError):  # met again once a load needs it
                self._read()
        coming: list[Coming] = []
        if self._open is not None and self._pieces:
            coming.append((self._open, tuple(p for p in self._pieces if p.unwritable is None)))
        raw = (each for each in self._raw if isinstance(each, Stored) and self._takes(each))
        return [*coming, *((each, ()) for each in raw if isinstance(each.entry, Block))]

    def _read(self) -> bool:
        before, entries = self.position, _READ_ENTRIES
        if self._only is not None:
            place = bisect_left(self._only, before)
            if place == len(self._only):
                return False
            self.position, entries = self._only[place], 1
        if not self.lanes or self.position >= self._stop:
            return False
        page = self._reader.read(
            self.position, max_bytes=_READ_BYTES, max_entries=entries, tables=self.lanes
        )
        self._raw.extend(page.entries)
        if page.damaged:
            self._raw = deque(sorted([*self._raw, *page.damaged], key=_first_offset))
        moved = page.next > before
        self.position = max(page.next, self.position)
        return moved

    def _begin(self, load: Load, stored: Stored | Damage) -> None:
        if isinstance(stored, Damage):
            for each in self.lanes.values():
                part = load.part(each)
                part.to = max(part.to, min(stored.last + 1, self._stop))
            return
        lane = self.lanes.get(stored.entry.table)
        end = stored.offset + stored.count
        if lane is None or (end <= lane.cursor and self._only is None):
            return
        if stored.offset >= self._stop:
            return
        if self._only is None and not lane.takes(stored.entry):
            self._pass_over(load, lane, end)
            return
        if self._live:
            lane.hand.append((end, stored.entry.time))
        if isinstance(stored.entry, Undecodable):
            self._set_aside(load, lane, stored, stored.entry.reason, stored.entry.payload)
            return
        try:
            self._pieces.extend(self._writer.pieces(stored))
        except DecodeError as error:
            self._refuse(load, lane, stored, error)
        except Exception as error:
            raise EncodingFailed(lane, stored, error) from error
        else:
            self._open = stored

    def _takes(self, stored: Stored) -> bool:
        lane = self.lanes.get(stored.entry.table)
        return lane is not None and lane.takes(stored.entry)

    def _pass_over(self, load: Load, lane: Lane, end: int) -> None:
        """Let the cursor pass an entry that the sink does not take."""
        if self._looking:
            return
        part = load.part(lane)
        part.to = max(part.to, min(end, self._stop))
        load.passed_over += 1

    def _encode(self, load: Load) -> None:
        piece, stored = self._pieces.popleft(), self._open
        if stored is None:
            return
        lane = self.lanes[stored.entry.table]
        first, end = stored.offset + piece.begin, stored.offset + piece.end
        if first >= self._stop or (self._only is None and end <= lane.cursor):
            return
        if self._only is not None and not self._wanted(first, end):
            return
        if piece.unwritable is not None:
            self._set_unwritable_aside(load, lane, stored, piece, piece.unwritable)
            return
        try:
            lines = self._writer.lines(stored, piece)
        except Unwritable as error:
            self._pieces.extendleft(reversed(self._writer.encoder.around(stored, piece, error)))
        except DecodeError as error:
            self._pieces.clear()
            self._refuse(load, lane, stored, error)
        except Exception as error:
            raise EncodingFailed(lane, stored, error) from error
        else:
            self._rest.append(Slice(lines, 0, len(lines)))

    def _take(self, load: Load) -> bool:
        """Put the next slice in, as far as it fits; False if nothing of it did."""
        piece = self._rest.popleft()
        lane = self.lanes[piece.table]
        if piece.end > self._stop:
            piece = piece.part(0, self._stop - piece.offset)
        part = load.part(lane)
        parts, end = self._parts(lane, part, piece)
        for each in parts:
            count = load.fitting(each)
            if count:
                load.add(part, each if count == len(each) else each.part(0, count))
            if count < len(each):
                cut = each.offset + count
                self._rest.appendleft(piece.part(cut - piece.offset, len(piece)))
                part.parked = {o: waits for o, waits in part.parked.items() if o < cut}
                part.to = max(part.to, cut)
                return count > 0
        part.to = max(part.to, end)
        if end < piece.end:
            lane.full = True
            self.drop(lane.table)
        return True

    def _parts(self, lane: Lane, part: Part, piece: Slice) -> tuple[Sequence[Slice], int]:
        """Return what of a slice is to be delivered, and where what is looked at ends."""
        if self._only is not None:
            within = self._within(piece)
            return [piece.part(o - piece.offset, o - piece.offset + 1) for o in within], piece.end
        fresh = lane.fresh(piece, self._floor)
        if not self._by_key or not (lane.waiting or part.parked):
            return fresh, piece.end
        blocked = lane.blocked_keys() | {w.key for w in part.parked.values() if w.key is not None}
        free: list[Slice] = []
        for each in fresh:
            end = _unblocked(lane, part, each, blocked, free)
            if end < each.end:
                return free, end
        return free, piece.end

    def _within(self, piece: Slice) -> Sequence[int]:
        only = self._only or ()
        return only[bisect_left(only, piece.offset) : bisect_left(only, piece.end)]

    def _wanted(self, first: int, end: int) -> bool:
        only = self._only or ()
        return bisect_left(only, first) < bisect_left(only, end)

    def _refuse(self, load: Load, lane: Lane, stored: Stored, error: DecodeError) -> None:
        raw = stored.entry.payload if isinstance(stored.entry, Block) else b""
        self._set_aside(load, lane, stored, str(error), raw)

    def _set_unwritable_aside(
        self, load: Load, lane: Lane, stored: Stored, piece: Piece, reason: str
    ) -> None:
        """Note that this sink cannot get one event, which has no form in its format."""
        if self._looking or not isinstance(stored.entry, Block):
            return
        if self._only is not None:  # it waits for another cause, and would be forgotten
            raise EncodingFailed(lane, stored, Retry(reason))
        part = load.part(lane)
        if _all_of_it(part):
            much = f"{MOST_CERTAIN} rows and more in a row cannot be written, the last for"
            raise EncodingFailed(lane, stored, Retry(f"{much} {reason}"))
        offset = stored.offset + piece.begin
        load.aside_bytes += piece.to_byte - piece.from_byte + 500
        ((_, time),) = times_of(stored.entry.times, piece.begin, 1)
        id_ = self._writer.event_id(offset)
        letter = DeadLetter(self._sink, stored.entry.table, offset, id_, time, reason)
        part.asides.append(
            Aside(offset, offset + 1, (Settled(offset, 1, "dead_lettered"),), (letter,))
        )
        part.to = offset + 1

    def _set_aside(self, load: Load, lane: Lane, stored: Stored, reason: str, raw: bytes) -> None:
        """Note that no sink can get what is left of an entry."""
        if self._looking:
            return
        part = load.part(lane)
        load.aside_bytes += len(raw) + 500
        entry, end = stored.entry, stored.offset + stored.count
        offset = max(stored.offset, part.to)
        letter = DeadLetter(
            self._sink,
            entry.table,
            offset,
            self._writer.event_id(offset),
            entry.time,
            reason,
            raw=raw,
        )
        settled = Settled(offset, end - offset, "dead_lettered")
        part.asides.append(Aside(offset, end, (settled,), (letter,)))
        part.to = end


def _all_of_it(part: Part) -> bool:
    """Tell whether so much was set aside in a row that it is not about single events."""
    if len(part.asides) < MOST_CERTAIN:
        return False
    return not part.slices or part.slices[-1].end <= part.asides[-MOST_CERTAIN].offset


def _unblocked(lane: Lane, part: Part, piece: Slice, blocked: set[int], free: list[Slice]) -> int:
    """Add to `free` what may go on of a slice; the others begin to wait, as many as may.

    Returns the offset of the first that neither goes on nor may wait; the end where there is none.
    """
    start = 0
    for index in range(len(piece)):
        key = piece.lines.key(piece.start + index)
        if key is None or hash(key) not in blocked:
            continue
        if start < index:
            free.append(piece.part(start, index))
        start = index + 1
        if len(lane.waiting) + len(part.parked) >= MOST_WAITING:
            return piece.offset + index
        time = piece.lines.time(piece.start + index)
        part.parked[piece.offset + index] = Waits(hash(key), time)
    if start < len(piece):
        free.append(piece.part(start, len(piece)))
    return piece.end


def _first_offset(stretch: Stored | Damage) -> int:
    return stretch.first if isinstance(stretch, Damage) else stretch.offset
