"""Events to files, one a line; `{table}` in the path makes a file per table.

Delivered means on the disk: every file that a batch touched is synced before `deliver`
returns. What fails on one file is tried again for the tables of that file alone, so a full disk
under one holds up no other. A file that is large or old enough is closed under a final name.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from bridge.errors import excerpt
from bridge.formats.base import Carries
from bridge.lines import Slice
from bridge.sinks.base import Batch, Caution, Retry, Sink, SinkSettings
from bridge.sinks.file_compress import Compressor
from bridge.sinks.file_live import Closing, LiveFile, leftover, open_live
from bridge.sinks.file_note import Kind, read_note
from bridge.sinks.file_paths import DATE, NOTIFICATIONS, ending_of, expand_day, notes_of
from bridge.sinks.file_runs import Part, Run, runs_of
from bridge.sinks.file_settings import FileSettings
from bridge.sinks.folders import folder_problem
from bridge.sinks.names import is_of_table

MAX_OPEN_FILES = 128  # kept open from batch to batch; the least recently used is closed

_DAY = 86_400_000_000  # microseconds
_MOST_AT_ONCE = 50  # files closed by age in one look
_PAUSE = 10.0  # seconds until a file is tried again that could not be closed


class FileSink(Sink):
    """Appends each event as one line to a file.

    Retried: whatever the file system answers: no space, no permission, an I/O error, a name that
    is too long or that of a folder. Where tables have files of their own, only those wait.
    """

    Settings: ClassVar[type[SinkSettings]] = FileSettings
    keyed: ClassVar[bool] = False
    carries: ClassVar[frozenset[Carries]] = frozenset(
        {Carries.TEXT, Carries.NOTIFICATIONS, Carries.HEADER_LINE}
    )

    def __init__(
        self,
        settings: FileSettings,
        max_open: int = MAX_OPEN_FILES,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._max_open = max_open
        self._clock = clock
        self._dated = DATE in settings.path
        self._compressor = Compressor(settings.compress) if settings.compress else None
        rotate = settings.rotate
        self._max_size = rotate.max_size if rotate is not None else None
        self._closing = Closing(
            settings.path,
            ending_of(settings.path),
            rotate is not None,
            rotate.max_age if rotate is not None else None,
            self._compressor.add if self._compressor is not None else None,
            clock,
            wall,
        )
        self._files: OrderedDict[Path, LiveFile] = OrderedDict()
        self._due: dict[Path, float] = {}  # when files that grow have their age
        self._written: dict[str, range] = {}  # offsets on the disk that come again, by table
        self._paths: dict[tuple[str, int], Path] = {}

    def open(self) -> None:
        """See that the files can be written; each is opened when its first event comes."""
        self.check()
        self._take_up_all()
        if self._compressor is not None:
            self._compressor.start()

    def deliver(self, batch: Batch) -> None:
        """Append the events and return once every file they went to is synced."""
        parts: dict[Path, list[Part]] = {}
        for each in batch.slices:
            for missing in self._missing(each):
                for path, part in self._parts(missing):
                    parts.setdefault(path, []).append(part)
        # A journal's lines all begin like this, whatever the table.
        mark = b'{"id":"%b-' % batch.slices[0].lines.journal_id.encode()
        failed: dict[str, tuple[int, Retry]] = {}  # by table: from where on it is not on the disk
        paths = iter(parts)
        while group := list(islice(paths, self._max_open)):
            some = {path: parts[path] for path in group}
            for path, error, left in self._append_and_sync(some, mark):
                found = _found(error, path)
                for each in left:
                    offset, first = failed.get(each.table, (each.offset, found))
                    failed[each.table] = min(offset, each.offset), first
        together = bool(failed) and not is_of_table(self._settings.path)
        if failed or self._written:
            for table, (begin, end) in _spans(batch).items():
                stop = failed[table][0] if table in failed else end
                self._remember(table, range(begin, stop), again=together or table in failed)
        for table, (_, found) in failed.items():
            if together:
                raise found
            batch.fail(table, found)

    def idle(self) -> None:
        """Close the files that have their age."""
        if self._compressor is not None:
            self._compressor.start()  # unless it runs
        now = self._clock()
        failed: Retry | None = None
        for path in [path for path, due in self._due.items() if due <= now][:_MOST_AT_ONCE]:
            del self._due[path]
            try:
                self._close_old(path)
            except OSError as error:
                self._drop(path)
                self._due[path] = now + _PAUSE
                failed = failed or _found(error, path)
        if failed is not None:
            raise failed

    def check(self) -> str | None:
        """See that the file, or the nearest folder above it that exists, can be written."""
        fixed, placeholder, _ = self._settings.path.partition("{")
        path = Path(fixed)
        if not placeholder and path.exists():
            if not path.is_file():
                raise Retry(f"{path} is no regular file")
            if not os.access(path, os.W_OK):
                raise Retry(f"{path} cannot be written: permission denied")
            return None
        folder = path if fixed.endswith("/") else path.parent
        problem = folder_problem(folder)
        if problem is not None:
            raise Retry(f"{problem}, so {self._settings.path} cannot be written")
        if folder.exists():
            return None
        if folder.parent.exists():
            return f"makes the folder {folder}"
        # One of several that are missing is often a volume that is not mounted.
        text = f"makes the folder {folder}, as neither it nor {folder.parent} is there"
        return Caution(text, "mount the volume it should be on, or mend path")

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._files.popitem()[1].close()
        if self._compressor is not None:
            self._compressor.stop()

    def _take_up_all(self) -> None:
        """Find the files of an earlier run that are to be closed, or compressed."""
        for path, place in notes_of(self._settings.path):
            try:
                self._take_up(path, place)
            except OSError:  # it holds up no other; `idle` says so if it stays like this
                self._due[path] = self._clock() + _PAUSE

    def _take_up(self, path: Path, place: Path) -> None:
        note, compressor = read_note(path), self._compressor
        if note is None or note.of != self._settings.path:
            return
        if note.closed:
            if compressor is not None and path.exists():
                compressor.add(path)
            else:
                place.unlink(missing_ok=True)
            return
        growing = leftover(note, self._closing.closed)
        if growing is None:
            place.unlink(missing_ok=True)
        elif self._closing.max_age is not None:
            self._due[path] = self._closing.due(growing)

    def _remember(self, table: str, offsets: range, *, again: bool) -> None:
        """Note what is on the disk and yet comes again, lest it be there twice."""
        known = self._written.get(table)
        if again:
            self._written[table] = offsets
        elif known is not None and offsets.stop >= known.stop:
            del self._written[table]

    def _missing(self, events: Slice) -> list[Slice]:
        known = self._written.get(events.table, range(0))
        size = len(events)
        begin, end = (max(0, min(size, at - events.offset)) for at in (known.start, known.stop))
        return [part for part in (events.part(0, begin), events.part(end, size)) if len(part)]

    def _parts(self, events: Slice) -> Iterator[tuple[Path, Part]]:
        """Say which file takes which of the events: with `{date}`, midnight parts them."""
        lines = events.lines
        kind = Kind("json") if lines.notification else self._kind(lines.header or b"")
        for day, part in _days(events) if self._dated else [(0, events)]:
            path = self._path_of(events.table, day)
            if lines.notification:
                path = path.with_name(path.name + NOTIFICATIONS)
            yield path, Part(part, kind)

    def _kind(self, header: bytes) -> Kind:
        return Kind(self._settings.format, header)

    def _append_and_sync(
        self, parts: dict[Path, list[Part]], mark: bytes
    ) -> Iterator[tuple[Path, OSError, list[Slice]]]:
        """Give the files that failed, why, and which of their events are not on the disk."""
        written: list[tuple[LiveFile, list[Slice]]] = []
        for path, ours in parts.items():
            left = [part.events for part in ours]
            try:
                written.append((self._append(path, ours, mark, left), left))
            except OSError as error:
                self._drop(path)  # opening it anew cuts what could not be undone
                yield path, error, left
        for file, left in written:
            try:
                _sync(file)
            except OSError as error:
                self._drop(file.path)
                yield file.path, error, left

    def _append(self, path: Path, parts: list[Part], mark: bytes, left: list[Slice]) -> LiveFile:
        """Append to a file, or to several in turn; return the last, which is not yet synced.

        What is on the disk in those that were closed leaves `left`, also where the next one fails.
        """
        first = parts[0]
        file = self._open(path, first.kind, first.events.offset, mark)
        old = file.due <= self._clock() and file.size > 0
        runs = runs_of(parts, file.kind, file.size, self._max_size, fresh=old)
        for number, run in enumerate(runs):
            if run.fresh:
                _sync(file)
                left[:] = [each for later in runs[number:] for each in later.events]
                file = self._next(file, run, mark)
            file.append(run.pieces)
        return file

    def _next(self, file: LiveFile, run: Run, mark: bytes) -> LiveFile:
        self._files.pop(file.path, None)
        try:
            file.finish()
        finally:
            file.close()
        return self._open(file.path, run.kind, run.first, mark)

    def _open(self, path: Path, kind: Kind, first: int, mark: bytes) -> LiveFile:
        file = self._files.get(path)
        if file is not None:
            if file.is_current():
                self._files.move_to_end(path)
                return file
            self._drop(path)  # it was rotated or removed: go on in a new one
        while len(self._files) >= self._max_open:
            self._files.popitem(last=False)[1].close()
        file = self._files[path] = open_live(path, kind, first, mark, self._closing)
        if self._closing.max_age is not None:
            self._due[path] = file.due
        return file

    def _close_old(self, path: Path) -> None:
        note = leftover(read_note(path), self._closing.closed)
        if note is None:  # somebody has taken the file away
            return
        file = self._open(path, note.kind, note.first, note.mark)
        if not file.size:
            return
        if file.due > self._clock():
            self._due[path] = file.due
            return
        self._files.pop(path, None)
        try:
            file.finish()
        finally:
            file.close()

    def _drop(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None:
            file.close()

    def _path_of(self, table: str, day: int) -> Path:
        path = self._paths.get((table, day))
        if path is None:
            if len(self._paths) > 10_000:  # tables and days come and go; this only saves work
                self._paths.clear()
            path = self._paths[table, day] = Path(expand_day(self._settings.path, table, day))
        return path


def _sync(file: LiveFile) -> None:
    try:
        file.sync()
    except OSError:
        file.undo()
        raise


def _spans(batch: Batch) -> dict[str, tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    for each in batch.slices:
        spans[each.table] = spans.get(each.table, (each.offset, 0))[0], each.end
    return spans


def _found(error: OSError, path: Path) -> Retry:
    place = excerpt(str(error.filename or path), 180)
    return Retry(f"{place}: {error.strerror or error}")


def _days(events: Slice) -> Iterator[tuple[int, Slice]]:
    """Part events where their day changes; days are counted since the epoch, UTC."""
    lines, index, day = events.lines, 0, None
    start = begin = events.start
    for count, time_ in lines.times:
        if index + count > start:
            if day is not None and time_ // _DAY != day:
                yield day, Slice(lines, begin, index)
                begin = index
            day = time_ // _DAY
        index += count
        if index >= events.stop:
            break
    if day is not None:
        yield day, Slice(lines, begin, events.stop)


__all__ = ["FileSettings", "FileSink"]
