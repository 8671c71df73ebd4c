"""Events to files, one a line; `{table}` in the path makes a file per table.

Delivered means on the disk: every file that a batch touched is synced before `deliver`
returns. What fails on one file is tried again for the tables of that file alone, so a full disk
under one holds up no other.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from bridge.errors import excerpt
from bridge.lines import Slice
from bridge.sinks.append_file import AppendFile
from bridge.sinks.base import Batch, Carries, Retry, Sink, SinkSettings
from bridge.sinks.names import OF_TABLE, fill, is_of_table, require_known

DATE = "{date}"
MAX_OPEN_FILES = 128  # kept open from batch to batch; the least recently used is closed

_DAY = 86_400_000_000  # microseconds


class FileSettings(SinkSettings):
    """Settings of the sink `file`."""

    type: Literal["file"] = Field(description="Appends one event a line to files.")
    path: str = Field(
        min_length=1,
        description=(
            "The file to append to. `{table}` in it is the table's qualified name, `{schema}` and "
            "`{name}` are its parts, `/` and `%` percent-encoded; `{date}` is the day of the "
            "event, UTC. Folders are created."
        ),
        examples=["/var/lib/kinetica-bridge/out/{table}.jsonl"],
    )

    @field_validator("path")
    @classmethod
    def _names_a_file(cls, path: str) -> str:
        require_known(path, (*OF_TABLE, DATE))
        if path.endswith("/") or "\0" in path:
            raise ValueError("this names no file")
        return path


class _Part(NamedTuple):
    """What of a batch goes to one file of one table."""

    table: str
    lines: memoryview


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

    def __init__(self, settings: FileSettings, max_open: int = MAX_OPEN_FILES) -> None:
        self._settings = settings
        self._max_open = max_open
        self._dated = DATE in settings.path
        self._files: OrderedDict[Path, AppendFile] = OrderedDict()
        self._paths: dict[tuple[str, int], Path] = {}

    def open(self) -> None:
        """See that the files can be written; each is opened when its first event comes."""
        self.check()

    def deliver(self, batch: Batch) -> None:
        """Append the events and return once every file they went to is synced."""
        parts: dict[Path, list[_Part]] = {}
        for each in batch.slices:
            for path, part in self._parts(each):
                parts.setdefault(path, []).append(part)
        # A journal's lines all begin like this, whatever the table.
        mark = b'{"id":"%b-' % batch.slices[0].lines.journal_id.encode()
        failed: dict[str, Retry] = {}
        paths = iter(parts)
        while group := list(islice(paths, self._max_open)):
            for path, error in self._append_and_sync({path: parts[path] for path in group}, mark):
                place = excerpt(str(error.filename or path), 180)
                found = Retry(f"{place}: {error.strerror or error}")
                if not is_of_table(self._settings.path):
                    raise found from error
                for part in parts[path]:
                    failed.setdefault(part.table, found)
        for table, found in failed.items():
            batch.fail(table, found)

    def check(self) -> None:
        """See that the file, or the nearest folder above it that exists, can be written."""
        fixed, placeholder, _ = self._settings.path.partition("{")
        path = Path(fixed)
        if not placeholder and path.exists():
            if not path.is_file():
                raise Retry(f"{path} is no regular file")
            if not os.access(path, os.W_OK):
                raise Retry(f"{path} cannot be written: permission denied")
            return
        folder = path if fixed.endswith("/") else path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise Retry(f"{folder} is no folder, so {self._settings.path} cannot be created")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Retry(f"nothing can be created in {folder}: permission denied")

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._files.popitem()[1].close()

    def _parts(self, events: Slice) -> Iterator[tuple[Path, _Part]]:
        """Say which file takes which of the events: with `{date}`, midnight parts them."""
        if not self._dated:
            yield self._path_of(events.table, 0), _Part(events.table, events.data)
            return
        for day, part in _days(events):
            yield self._path_of(events.table, day), _Part(events.table, part.data)

    def _append_and_sync(
        self, parts: dict[Path, list[_Part]], mark: bytes
    ) -> Iterator[tuple[Path, OSError]]:
        written: list[AppendFile] = []
        for path, ours in parts.items():
            try:
                file = self._open(path, mark)
                file.append([part.lines for part in ours])
                written.append(file)
            except OSError as error:
                self._drop(path)  # opening it anew cuts what could not be undone
                yield path, error
        for file in written:
            try:
                file.sync()
            except OSError as error:
                file.undo()
                self._drop(file.path)
                yield file.path, error

    def _open(self, path: Path, mark: bytes) -> AppendFile:
        file = self._files.get(path)
        if file is not None:
            if file.is_current():
                self._files.move_to_end(path)
                return file
            self._drop(path)  # it was rotated or removed: go on in a new one
        while len(self._files) >= self._max_open:
            self._files.popitem(last=False)[1].close()
        file = self._files[path] = AppendFile(path, mark)
        return file

    def _drop(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None:
            file.close()

    def _path_of(self, table: str, day: int) -> Path:
        path = self._paths.get((table, day))
        if path is None:
            if len(self._paths) > 10_000:  # tables and days come and go; this only saves work
                self._paths.clear()
            # The day first: a table may be called like a placeholder.
            date = f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"
            template = self._settings.path.replace(DATE, date)
            path = self._paths[table, day] = Path(expand(template, table))
        return path


def expand(template: str, table: str) -> str:
    """Put a table's name into a path, such that it cannot name another folder.

    >>> expand("out/{table}.jsonl", "ki_home.a/b")
    'out/ki_home.a%2Fb.jsonl'
    >>> expand("out/{table}/events", "..")
    'out/%2E%2E/events'
    """
    parts = template.split("/")
    for index, part in enumerate(parts):
        filled = fill(part, table, _encode)
        if filled != part and filled in {".", ".."}:
            filled = filled.replace(".", "%2E")
        parts[index] = filled
    return "/".join(parts)


def _encode(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


def _days(events: Slice) -> Iterator[tuple[int, Slice]]:
    """Part events where their day changes; days are counted since the epoch, UTC."""
    lines, index, day = events.lines, 0, None
    start = begin = events.start
    for count, time in lines.times:
        if index + count > start:
            if day is not None and time // _DAY != day:
                yield day, Slice(lines, begin, index)
                begin = index
            day = time // _DAY
        index += count
        if index >= events.stop:
            break
    if day is not None:
        yield day, Slice(lines, begin, events.stop)
