"""Giving disk back: segments that nobody wants go, of others only what is wanted stays.

None of it holds the append lock: an append that finds the journal full lets go of it first. The
order at each step makes a crash harmless: what is wanted is on disk under its name, `state.db`
is forced to disk with the cursors that made the rest unwanted, then files go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from bridge.errors import JournalError, JournalFull
from bridge.journal.ballast import Ballast
from bridge.journal.lane import Boundary
from bridge.journal.layout import Place, add_span, place_path, remove_database
from bridge.journal.log import SegmentLog
from bridge.journal.prune import (
    LEAST_BYTES,
    ByTable,
    Need,
    by_table,
    deletable,
    is_old,
    mergeable,
    needs,
    wanted_bytes,
)
from bridge.journal.records import Bounds, Damage
from bridge.journal.sealed import SealedSegment
from bridge.journal.segment_pages import SegmentPages
from bridge.journal.state import State
from bridge.journal.thin import thin
from bridge.journal.troubles import Troubles

# Which part of a segment may still be wanted for thinning to be worth it: where there is time,
# and where an append waits for room.
_WORTH = 1 / 2
_WORTH_WHEN_FULL = 7 / 8

_log = structlog.get_logger(__name__)


class Upkeep:
    """Keeps the segments of an open journal within its size and age.

    Attributes:
        lock: held while it works; taken before the append lock and the state's.
        bounds: as given, or others from then on.

    Args:
        path: the journal's folder.
        state: its lanes.
        log: its segments.
        bounds: what it keeps them within.
        now: microseconds since the epoch.
        troubles: since when which file cannot be read.
        on_damage: told of what cannot be read.
        ballast: given up where no segment can be begun, made again where there is room.
    """

    def __init__(
        self,
        path: Path,
        state: State,
        log: SegmentLog,
        *,
        bounds: Bounds,
        now: Callable[[], int],
        troubles: Troubles,
        on_damage: Callable[[Damage], None],
        ballast: Ballast,
    ) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._state = state
        self._log = log
        self.bounds = bounds
        self._now = now
        self._troubles = troubles
        self._on_damage = on_damage
        self._ballast = ballast
        self._fruitless: tuple[int, int, int, Bounds] | None = None
        # What was wanted of segments when thinning freed nothing: how much that is, is guessed.
        self._dense: dict[Place, Mapping[str, Need]] = {}

    def make_room(self, incoming: int) -> None:
        """Free what may go until `incoming` bytes fit. Append lock not held.

        Raises:
            JournalFull: they do not.
            JournalDiskError: the disk failed.
        """
        with self.lock:
            while (excess := self._log.bytes() + incoming - self.bounds.max_size) > 0:
                known = self._state.version, self._log.version, incoming, self.bounds
                if known == self._fruitless:
                    raise self._full()
                freed = self._step(excess, _WORTH_WHEN_FULL) or self._roll(_WORTH_WHEN_FULL)
                freed = freed or self._state.let_go()  # a replay is no reason to stop capture
                if not freed and not (self.bounds.drop_oldest and self._drop()):
                    self._fruitless = known
                    raise self._full()

    def free(self) -> bool:
        """Free something where the disk has no room left, whatever `max_size` says."""
        with self.lock:
            if self._delete(1) or (self._roll(None) and self._delete(1)):
                return True
            if self._state.let_go():
                return True
            if not self.bounds.drop_oldest:
                return False
            return self._drop() or (self._roll(1.0) and self._drop())

    def step(self) -> bool:
        """Do the next thing that is to be done; return whether there may be more.

        Raises:
            JournalFull, JournalDiskError: the disk is full or failed.
        """
        with self.lock:
            self.make_ballast()
            return self._step(
                self._log.bytes() + self.bounds.segment_size - self.bounds.max_size, _WORTH
            )

    def _full(self) -> JournalFull:
        return JournalFull(
            f"journal {self._path} is full: {self._log.bytes()} of {self.bounds.max_size} bytes "
            "hold events that not every sink has taken",
            hint="see which sink lags, or raise journal.max_size",
        )

    def _step(self, excess: int, worth: float) -> bool:
        return self._delete(excess) or self._thin(excess, worth)

    def _before(self) -> int:
        return self._now() - int(self.bounds.max_age * 1e6)

    def _delete(self, excess: int) -> bool:
        lanes = by_table(self._state.active())
        gone = deletable(self._log.sealed(), lanes, excess=excess, before=self._before())
        if not gone:
            return False
        spans = self._state.thinned
        for segment in gone:
            spans = add_span(spans, segment.first, segment.end)
        self._state.thin(spans)
        self._replace(gone, None)
        return True

    def _thin(self, excess: int, worth: float) -> bool:
        """Thin the oldest segment that is worth it, if there is one."""
        before = self._before()
        segments = self._log.sealed()
        if excess <= 0 and not any(is_old(segment, before) for segment in segments):
            return False
        lanes = by_table(self._state.active())
        for index, segment in enumerate(segments):
            if segment.bytes <= LEAST_BYTES or not (excess > 0 or is_old(segment, before)):
                continue
            wanted = needs(segment, lanes)
            if self._dense.get(segment.place) == wanted:
                continue
            sizes = self._sizes(segment)
            size = wanted_bytes(segment, wanted, sizes)
            # Against what it holds, not what the file takes: that stays.
            if wanted and size <= sum(sizes.values()) * worth:
                first = index - mergeable(
                    segments, index, self._state.thinned, self.bounds.segment_size // 4
                )
                held = self._log.bytes()
                self._thin_into_one(segments[first : index + 1], size)
                if self._log.bytes() >= held:
                    self._note_dense(segments[first].first, segment.end, lanes)
                return True
        return False

    def _note_dense(self, first: int, end: int, lanes: ByTable) -> None:
        """Note what is wanted of a span that thinning made no smaller: it is not tried again."""
        self._dense = {
            each.place: needs(each, lanes)
            for each in self._log.sealed()
            if each.place in self._dense or first <= each.first < end
        }

    def _thin_into_one(self, sources: Sequence[SealedSegment], expected: int) -> None:
        # From here on no cursor falls back, whatever happens: what they passed is not copied.
        self._state.write(durable=True)
        wanted = _together(sources, by_table(self._state.active()))
        new, damaged = thin(
            self._path,
            sources,
            wanted,
            journal_id=self._state.journal_id,
            created=self._now(),
            expected=expected,
            troubles=self._troubles,
            on_damage=self._on_damage,
        )
        spans = add_span(self._state.thinned, sources[0].first, sources[-1].end)
        gone = [source for source in sources if new is None or source.place[:3] != new.place[:3]]
        lost = _lost(wanted, damaged)
        self._state.thin(spans, lost=lost)
        self._replace(sources, new, gone)
        _log.info(
            "journal_segments_thinned",
            first=sources[0].first,
            end=sources[-1].end,
            before=sum(source.bytes for source in sources),
            bytes=0 if new is None else new.bytes,
        )

    def _drop(self) -> bool:
        """Let the oldest segment go, whoever still wants it."""
        segments = self._log.sealed()
        if not segments:
            return False
        oldest = segments[0]
        spans = add_span(self._state.thinned, oldest.first, oldest.end)
        discarded = self._state.thin(spans, drop=Boundary(oldest.end, oldest.ends))
        self._replace((oldest,), None)
        if discarded:
            _log.warning("journal_events_discarded", before=oldest.end, events=discarded)
        return True

    def _roll(self, worth: float | None) -> bool:
        """Seal the newest segment, if that makes room.

        Args:
            worth: which part of it may still be wanted, None for nothing at all.
        """
        with self._log.append_lock:
            if self._log.empty:
                return False
            newest = self._log.newest()
            wanted = needs(newest, by_table(self._state.active()))
            if wanted and worth is None:
                return False
            size = wanted_bytes(newest, wanted, newest.sizes or {})
            most = sum((newest.sizes or {}).values()) * (worth or 0.0)
            if wanted and size > most and not self.bounds.drop_oldest:
                return False
            try:
                self._log.roll()
            except JournalError:
                # What is sealed goes at once; otherwise the room would be gone for nothing.
                if (wanted and not self.bounds.drop_oldest) or not self._ballast.give_up():
                    raise
                self._log.roll()
            return True

    def _sizes(self, segment: SealedSegment) -> Mapping[str, int]:
        if segment.sizes is not None:
            return segment.sizes
        with SegmentPages(self._path, self._troubles) as pages:
            sizes = pages.sizes(segment.place)
        self._log.measured(segment.place, sizes)
        return sizes

    def _replace(
        self,
        sources: Sequence[SealedSegment],
        new: SealedSegment | None,
        gone: Sequence[SealedSegment] | None = None,
    ) -> None:
        """Take segments off the list, then delete their files."""
        self._log.replace({source.place for source in sources}, new, self._state.thinned)
        for segment in sources if gone is None else gone:
            path = place_path(self._path, segment.place)
            try:
                remove_database(path)
            except OSError as error:
                _log.warning("journal_segment_not_deleted", path=str(path), cause=error.strerror)
        self.make_ballast()

    def make_ballast(self) -> None:
        """Make the room again that is kept for a full disk, as far as there is any. Lock held."""
        self._ballast.make(self._log.carried_bytes())


def _together(sources: Sequence[SealedSegment], lanes: ByTable) -> dict[str, Need]:
    """Return what is wanted of several segments."""
    together: dict[str, Need] = {}
    for source in sources:
        for table, need in needs(source, lanes).items():
            known = together.setdefault(table, Need())
            if need.start is not None:
                known.start = min(
                    need.start, known.start if known.start is not None else need.start
                )
            known.offsets |= need.offsets
    return together


def _lost(wanted: Mapping[str, Need], damaged: Sequence[Damage]) -> frozenset[int]:
    return frozenset(
        offset
        for need in wanted.values()
        for offset in need.offsets
        if any(damage.first <= offset <= damage.last for damage in damaged)
    )
