"""What is known of a file, written beside it: it must be known after a crash too.

A note is one JSON object. Where an append begins and ends is written over in place before each one,
so that what a crash tore is told from what others wrote; the rest stays as long as the file.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.sinks.file_paths import note_of
from bridge.sinks.folders import sync_folder

_MODE = 0o644
_sync = getattr(os, "fdatasync", os.fsync)  # mostly written over in place
_LONGEST = 2**20  # bytes; a header may be long


@dataclass(frozen=True, slots=True)
class Kind:
    """What the lines of a file are; a file has lines of one kind.

    Attributes:
        format: by its name.
        header: the line that stands first, with its line feed; empty for none.
    """

    format: str
    header: bytes = b""

    @property
    def marked(self) -> bool:
        """Whether each line says by its beginning whose it is."""
        return self.format == "json"


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of a file.

    Attributes:
        file: where it stands.
        of: the template that its path comes from, which says whose it is.
        identity: device and number of the file.
        kind: of its lines.
        mark: what its lines begin with, where they are of a kind that has one.
        first: offset of its first event.
        born: microseconds since the epoch.
        closing: the name that it is being given, or has; empty while it grows.
        begin: where the last append began.
        end: where it was to end; the same once it was acknowledged.
    """

    file: Path
    of: str
    identity: tuple[int, int]
    kind: Kind
    mark: bytes
    first: int
    born: int
    closing: str = ""
    begin: int = 0
    end: int = 0

    @property
    def closed(self) -> bool:
        """Whether the file has its final name."""
        return self.closing == self.file.name

    def write(self, *, sync: bool = True) -> None:
        """Write it down.

        Args:
            sync: whether it is to be on the disk before this returns.

        Raises:
            OSError: it may not be there.
        """
        path = note_of(self.file)
        flags = os.O_WRONLY | os.O_CREAT
        descriptor = os.open(path, flags, _MODE)
        try:
            new = os.fstat(descriptor).st_size == 0
            data = self._data()
            os.pwrite(descriptor, data, 0)
            if os.fstat(descriptor).st_size > len(data):
                os.ftruncate(descriptor, len(data))
            if sync:
                _sync(descriptor)
        finally:
            os.close(descriptor)
        if new and sync:
            sync_folder(path.parent)

    def moved(self, file: Path) -> Note:
        """Move it beside the name that its file has now; return it."""
        found = replace(self, file=file)
        note_of(self.file).rename(note_of(file))
        return found

    def remove(self) -> None:
        """Forget it."""
        with suppress(FileNotFoundError):
            note_of(self.file).unlink()

    def _data(self) -> bytes:
        device, number = self.identity
        # Of one length whatever the numbers, so that it is written over in place.
        where = f'{{"begin":{self.begin:>20},"end":{self.end:>20},'
        rest = {
            "of": self.of,
            "device": device,
            "number": number,
            "format": self.kind.format,
            "header": self.kind.header.decode(errors="surrogateescape"),
            "mark": self.mark.decode(),
            "first": self.first,
            "born": self.born,
            "closing": self.closing,
        }
        return where.encode() + json.dumps(rest)[1:].encode() + b"\n"


def read_note(file: Path) -> Note | None:
    """Return what is known of a file; None where nothing is, or it cannot be read."""
    try:
        with note_of(file).open("rb") as found:
            data = json.loads(found.read(_LONGEST).partition(b"\n")[0])
        return Note(
            file,
            str(data["of"]),
            (int(data["device"]), int(data["number"])),
            Kind(str(data["format"]), str(data["header"]).encode(errors="surrogateescape")),
            str(data["mark"]).encode(),
            int(data["first"]),
            int(data["born"]),
            str(data["closing"]),
            int(data["begin"]),
            int(data["end"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # a crash while it was written first
        return None
