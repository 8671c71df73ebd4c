"""Events to files, one a line; `{table}` in the path makes a file per table.

Delivered means on the disk: every file that a batch touched is synced before `deliver`
returns. What fails on one file is tried again for that file alone, so a full disk under one
table's file holds up no other.
"""

from __future__ import annotations

import errno
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from bridge.events import Event
from bridge.sinks.append_file import AppendFile
from bridge.sinks.base import Batch, Reject, Retry, Sink, SinkSettings

MAX_OPEN_FILES = 128  # kept open from batch to batch; the least recently used is closed
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_NEVER = {errno.ENAMETOOLONG: "the table's name is too long for a file name"}


class FileSettings(SinkSettings):
    """Settings of the sink `file`."""

    type: Literal["file"] = Field(description="Appends one event a line to files.")
    path: str = Field(
        min_length=1,
        description=(
            "The file to append to. `{table}` in it is the table's qualified name, `/` and `%` "
            "percent-encoded, so that each table has a file of its own. Folders are created."
        ),
        examples=["/var/lib/kinetica-bridge/out/{table}.jsonl"],
    )

    @field_validator("path")
    @classmethod
    def _known_placeholders(cls, path: str) -> str:
        for placeholder in _PLACEHOLDER.findall(path):
            if placeholder != "{table}":
                raise ValueError(f"unknown placeholder {placeholder}: there is {{table}} alone")
        if path.endswith("/") or "\0" in path:
            raise ValueError("this names no file")
        return path


class FileSink(Sink):
    """Appends each event as one line to a file.

    Retried: whatever the file system answers (no space, no permission, an I/O error). Rejected:
    events of a table whose name no file can have.
    """

    Settings: ClassVar[type[SinkSettings]] = FileSettings
    keyed: ClassVar[bool] = False

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._files: OrderedDict[Path, AppendFile] = OrderedDict()
        self._paths: dict[str, Path] = {}

    def open(self) -> None:
        """See that the files can be written; each is opened when its first event comes."""
        self.check()

    def deliver(self, batch: Batch) -> None:
        """Append the events and return once every file they went to is synced."""
        events: dict[Path, list[Event]] = {}
        for event in batch:
            path = self._paths.get(event.table) or self._path_of(event.table)
            events.setdefault(path, []).append(event)
        failed: dict[Path, OSError] = {}
        paths = iter(events)
        while group := list(islice(paths, MAX_OPEN_FILES)):
            failed.update(self._append_and_sync({path: events[path] for path in group}))
        if not failed:
            return
        errors = {path: _as_sink_error(path, error) for path, error in failed.items()}
        if len(errors) == len(events) == 1:
            raise next(iter(errors.values()))
        for path, error in errors.items():
            for event in events[path]:
                batch.fail(event, error)

    def check(self) -> None:
        """See that the file, or the nearest folder above it that exists, can be written."""
        fixed, placeholder, _ = self._settings.path.partition("{table}")
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

    def _append_and_sync(self, events: dict[Path, list[Event]]) -> Iterator[tuple[Path, OSError]]:
        written: list[AppendFile] = []
        for path, ours in events.items():
            try:
                file = self._open(path)
                file.append(b"".join([event.value + b"\n" for event in ours]))
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

    def _open(self, path: Path) -> AppendFile:
        file = self._files.get(path)
        if file is not None:
            if file.is_current():
                self._files.move_to_end(path)
                return file
            self._drop(path)  # it was rotated or removed: go on in a new one
        while len(self._files) >= MAX_OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        file = self._files[path] = AppendFile(path)
        return file

    def _drop(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None:
            file.close()

    def _path_of(self, table: str) -> Path:
        if len(self._paths) > 10_000:  # tables come and go; this only saves work
            self._paths.clear()
        path = self._paths[table] = Path(expand(self._settings.path, table))
        return path


def expand(template: str, table: str) -> str:
    """Put a table's name into a path, such that it cannot name another folder.

    >>> expand("out/{table}.jsonl", "ki_home.a/b")
    'out/ki_home.a%2Fb.jsonl'
    >>> expand("out/{table}/events", "..")
    'out/%2E%2E/events'
    """
    name = table.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    parts = template.split("/")
    for index, part in enumerate(parts):
        if "{table}" in part:
            filled = part.replace("{table}", name)
            parts[index] = filled.replace(".", "%2E") if filled in {".", ".."} else filled
    return "/".join(parts)


def _as_sink_error(path: Path, error: OSError) -> Retry | Reject:
    if error.errno in _NEVER:
        return Reject(f"{_NEVER[error.errno]}: {path}")
    return Retry(f"{error.filename or path}: {error.strerror or error}")
