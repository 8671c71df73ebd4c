"""Events to standard output, one a line.

Delivered means written to the descriptor: into the pipe, the file or the terminal behind it.
The bytes go past Python's buffer, which would keep what a closed pipe refused and write it a
second time.
"""

from __future__ import annotations

import errno
import sys
from typing import ClassVar, Literal

from pydantic import Field

from bridge.sinks.base import Batch, Retry, Sink, SinkSettings
from bridge.sinks.writing import Writing


class StdoutSettings(SinkSettings):
    """Settings of the sink `stdout`."""

    type: Literal["stdout"] = Field(description="Writes one event a line to standard output.")


class StdoutSink(Sink):
    """Writes each event as one line to standard output.

    Retried: whatever the output answers: that nobody reads it any more, or that the disk under
    it is full. A reader that stops reading without closing holds this sink up, and no other.
    """

    Settings: ClassVar[type[SinkSettings]] = StdoutSettings
    keyed: ClassVar[bool] = False

    def __init__(self, settings: StdoutSettings) -> None:
        self._settings = settings
        self._torn = False

    def deliver(self, batch: Batch) -> None:
        """Write the events and return once the last byte has left this process."""
        lines: list[bytes | memoryview] = list(batch.lines())
        if self._torn:  # what was written of a line stays one by itself
            lines.insert(0, b"\n")
        writing = Writing(lines)
        try:
            sys.stdout.flush()  # what others have printed comes first
            writing.to(sys.stdout.fileno())
        except (OSError, ValueError) as error:
            self._torn = self._torn or writing.written > 0
            raise Retry(f"standard output: {_reason(error)}") from error
        self._torn = False


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return "nobody reads it any more (broken pipe)"
    return getattr(error, "strerror", None) or str(error)
