"""A file that grows, and how it gets its final name: once, whole, and over no other file.

What is known of it stands in its note; where it need not be known (JSON lines that are never
rotated) there is none. A crash at any point of the closing is put right by `leftover`: the name
that was being taken stands in the note before it is taken.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.sinks.append_file import AppendFile, NotAppendable
from bridge.sinks.file_note import Kind, Note, read_note
from bridge.sinks.file_paths import ENDINGS, final_names
from bridge.sinks.folders import sync_folder, take_name
from bridge.sinks.torn import Announced, Marked, Torn

_OURS = re.compile(rb'\{"id":"[0-9a-f]{16}-(\d{1,19})"')  # the first line of a file of JSON events
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Closing:
    """How files of a sink are closed.

    Attributes:
        of: the template of their paths.
        ending: theirs, which stays behind the offset.
        rotates: whether they are closed by size or age.
        max_age: seconds after which they are, None for never.
        closed: told of each that has its final name; None where nothing more is done with it.
        clock: monotonic.
        wall: seconds since the epoch.
    """

    of: str
    ending: str
    rotates: bool
    max_age: float | None
    closed: Callable[[Path], None] | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def due(self, note: Note) -> float:
        """Return when a file has its age, by the monotonic clock."""
        if self.max_age is None:
            return float("inf")
        return self.clock() + max(0.0, self.max_age - max(0.0, self.wall() - note.born / 1e6))


class LiveFile:
    """An open file that grows by lines of one kind.

    Args:
        file: open.
        note: what is known of it, whether it is written down or not.
        closing: how it is closed.

    Attributes:
        kind: of its lines.
        due: when it has its age, by the monotonic clock.
    """

    __slots__ = ("_closing", "_file", "_note", "due", "kind")

    def __init__(self, file: AppendFile, note: Note, closing: Closing) -> None:
        self._file = file
        self._note = note
        self._closing = closing
        self.kind = note.kind
        self.due = closing.due(note)

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self._file.path

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return self._file.size

    def is_current(self) -> bool:
        """Tell whether the path still names this file."""
        return self._file.is_current()

    def append(self, pieces: Sequence[memoryview]) -> None:
        """Append whole lines, behind the header if they are the first, or leave it as it was.

        Raises:
            OSError: they were not written.
        """
        size = self._file.size
        if not size and self.kind.header:
            pieces = [memoryview(self.kind.header), *pieces]
        if not self.kind.marked:
            # One more, as a line feed may have to stand before.
            self._announce(size, size + sum(map(len, pieces)) + 1, sync=True)
        try:
            self._file.append(pieces)
        except OSError:
            self._settled()
            raise

    def sync(self) -> None:
        """Return when what was appended is on the disk; see `AppendFile.sync`."""
        self._file.sync()
        if not self.kind.marked:
            size = self._file.size
            self._announce(size, size, sync=False)

    def undo(self) -> None:
        """Take the last `append` back, unless another has written behind it."""
        self._file.undo()
        self._settled()

    def close(self) -> None:
        """Close it; it goes on growing when it is next opened."""
        self._file.close()

    def finish(self) -> None:
        """Give it its final name and close it.

        Raises:
            OSError: it has not got it, or it is not sure to keep it.
        """
        path, note = self.path, self._note
        for name in final_names(path, self._closing.ending, note.first):
            taken = (name, *(Path(f"{name}{ending}") for ending in ENDINGS.values()))
            if any(os.path.lexists(each) for each in taken):
                continue
            note = replace(note, closing=name.name)
            note.write()
            if take_name(path, name):
                break
        sync_folder(path.parent)
        self.close()
        _settle(note, self._closing.closed)

    def _settled(self) -> None:
        """Note that nothing is under way any more, if all that there is ends with whole lines."""
        if self.kind.marked or self._file.size > self._note.begin:
            return
        with suppress(OSError):  # then what comes next to stand there may be taken for ours
            self._announce(self._note.begin, self._note.begin, sync=False)

    def _announce(self, begin: int, end: int, *, sync: bool) -> None:
        self._note = replace(self._note, begin=begin, end=end)
        self._note.write(sync=sync)


def open_live(path: Path, kind: Kind, first: int, mark: bytes, closing: Closing) -> LiveFile:
    """Open a file to append to; what stands there and is of another kind is closed first.

    Args:
        path: where; folders are created.
        kind: of the lines to come.
        first: offset of the first event to come.
        mark: what lines begin with that are JSON.
        closing: how it is closed.

    Raises:
        NotAppendable: it is no regular file, or holds what rows cannot stand behind.
        OSError: it cannot be opened.
    """
    while True:
        note = leftover(read_note(path), closing.closed)
        file = AppendFile(path, _torn(note, mark))
        try:
            if note is None or not file.size:
                now = round(closing.wall() * 1e6)
                note = Note(path, closing.of, file.identity, kind, mark, first, now)
                if file.size:
                    note = _guess(file, note)
                if closing.rotates or not kind.marked or note.kind != kind:
                    note.write()
            if note.begin != note.end:  # what was torn is cut, and what comes is not of that append
                note = replace(note, begin=file.size, end=file.size)
                note.write()
            live = LiveFile(file, note, closing)
            if note.kind == kind:
                return live
            live.finish()
        except BaseException:
            file.close()
            raise


def leftover(note: Note | None, closed: Callable[[Path], None] | None) -> Note | None:
    """Finish a closing that a crash cut short; return what is known of the file that still grows.

    Raises:
        OSError: the disk fails.
    """
    if note is None or note.closed:
        return None
    here = _identity(note.file) == note.identity
    if not note.closing:
        return note if here else None
    final = note.file.with_name(note.closing)
    if _identity(final) != note.identity:
        return replace(note, closing="") if here else None
    if here:
        note.file.unlink()
    sync_folder(note.file.parent)
    _settle(note, closed)
    return None


def _settle(note: Note, closed: Callable[[Path], None] | None) -> None:
    if closed is None:
        note.remove()
        return
    final = note.file.with_name(note.closing)
    note.moved(final)
    closed(final)


def _torn(note: Note | None, mark: bytes) -> Torn:
    if note is None or note.kind.marked:
        return Marked(mark)
    return Announced(note.begin, note.end, quotes=note.kind.format == "csv")


def _guess(file: AppendFile, new: Note) -> Note:
    """Return what can be told of a file with something in it, of which nothing is written down."""
    header = new.kind.header
    head = file.head(max(_HEAD, len(header)))
    if ours := _OURS.match(head):
        return replace(new, kind=Kind("json"), first=int(ours[1]))
    if header and not head.startswith(header):
        message = "holds something else than such rows: move it away, or choose another path"
        raise NotAppendable(errno.EEXIST, message, str(file.path))
    return new


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None
