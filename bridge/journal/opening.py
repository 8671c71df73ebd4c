"""How a journal is opened: locked, repaired, and its parts put together."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bridge.errors import JournalDiskError, JournalError, JournalFull
from bridge.journal.ballast import Ballast
from bridge.journal.layout import prepare_folder
from bridge.journal.lock import JournalLock
from bridge.journal.log import SegmentLog
from bridge.journal.records import Bounds, Damage
from bridge.journal.repair import Recovered, recover
from bridge.journal.replays import Replays
from bridge.journal.sink_lanes import SinkLanes
from bridge.journal.state import WRITE_SECONDS, State
from bridge.journal.troubles import Troubles, translated
from bridge.journal.upkeep import Upkeep
from bridge.loop import Loop

OnFull = Literal["stop_capture", "drop_oldest"]

MIN_SIZE = 2**20
MIN_SEGMENT_SIZE = 2**16
MAX_SEGMENT_SIZE = 64 * 2**20
# A journal is cut into at least this many segments, by size and by age, so that what is given
# back at once is a small part of it.
_LEAST_SEGMENTS = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What a journal may take; the attributes are arguments of `Journal`.

    Raises:
        ValueError: a size or an age that cannot be.
    """

    max_size: int
    max_age: float
    on_full: OnFull
    segment_size: int | None
    memory: int

    def __post_init__(self) -> None:
        if self.max_size < MIN_SIZE:
            raise ValueError(f"max_size must be at least {MIN_SIZE} bytes, not {self.max_size}")
        if self.segment_size is not None and self.segment_size < MIN_SEGMENT_SIZE:
            raise ValueError(
                f"segment_size must be at least {MIN_SEGMENT_SIZE} bytes, not {self.segment_size}"
            )
        if self.max_age <= 0:
            raise ValueError(f"max_age must be above 0, not {self.max_age}")

    def bounds(self, folder: Path) -> Bounds:
        """Return what the segments in a folder keep within.

        By default a segment is a small part of the disk, too, as it is given back at once.
        """
        size = self.segment_size
        if size is None:
            room = self.max_size
            try:
                disk = os.statvfs(folder)
            except OSError:
                pass
            else:
                room = min(room, disk.f_blocks * disk.f_frsize or room)
            size = max(MIN_SEGMENT_SIZE, min(MAX_SEGMENT_SIZE, room // _LEAST_SEGMENTS))
        return Bounds(
            self.max_size,
            self.max_age,
            self.on_full == "drop_oldest",
            size,
            self.max_age / _LEAST_SEGMENTS,
        )


class Opened(NamedTuple):
    """What a journal has while it is open."""

    state: State
    log: SegmentLog
    upkeep: Upkeep
    lanes: SinkLanes
    replays: Replays
    cursors: Loop
    damaged: list[Damage]


def open_journal(
    path: Path,
    lock: JournalLock,
    limits: Limits,
    *,
    now: Callable[[], int],
    troubles: Troubles,
    on_damage: Callable[[Damage], None],
) -> Opened:
    """Take the lock, repair what has to be, and put the parts together.

    Args:
        path: the journal's folder.
        lock: of it; released again where this raises.
        limits: what it may take.
        now: microseconds since the epoch.
        troubles: since when which file cannot be read.
        on_damage: told of what cannot be read later on.

    Raises:
        JournalUnavailable: in use by another process, not accessible, no such folder, or written
            by a newer version. Damage is no reason.
        JournalDiskError: the disk failed or is full; nothing changed, try again.
    """
    ballast = Ballast(path)
    recovered = _recovered(path, lock, ballast, now(), troubles)
    state, bounds = recovered.state, limits.bounds(path)
    log = SegmentLog(
        path,
        recovered,
        bounds=bounds,
        memory=limits.memory,
        now=now,
        note=lock.note,
    )
    lock.note(log.head)
    ballast.make(log.carried_bytes())
    upkeep = Upkeep(
        path,
        state,
        log,
        bounds=bounds,
        now=now,
        troubles=troubles,
        on_damage=on_damage,
        ballast=ballast,
    )
    lanes = SinkLanes(path, state, log, upkeep.lock, troubles, now)
    cursors = Loop("journal-cursors", lambda: _write_cursors(state, cursors))
    replays = Replays(state, lanes.totals_at, now)
    return Opened(state, log, upkeep, lanes, replays, cursors, recovered.damaged)


def _recovered(
    path: Path, lock: JournalLock, ballast: Ballast, now: int, troubles: Troubles
) -> Recovered:
    try:
        prepare_folder(path)
        lock.acquire()
        ballast.give_up_if_short()
        return recover(path, lock, now, troubles)
    except (OSError, sqlite3.Error) as error:
        lock.release()
        raise _at_start(translated(error, path, path)) from error
    except JournalError as error:
        lock.release()
        raise _at_start(error) from error
    except BaseException:
        lock.release()
        raise


def _at_start(error: JournalError) -> JournalError:
    """Return what opening raises: a full disk is one of those failures that pass."""
    if isinstance(error, JournalFull):
        return JournalDiskError(str(error.args[0]), hint=error.hint)
    return error


def _write_cursors(state: State, loop: Loop) -> bool:
    """Write what was moved, a little later, so that moves that follow are written with it."""
    if not state.wait_for_moves():
        return False
    loop.wait(WRITE_SECONDS)
    state.write()
    return True
