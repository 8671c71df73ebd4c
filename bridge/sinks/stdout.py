"""Events to standard output, one a line.

Delivered means written to the descriptor: into the pipe, the file or the terminal behind it.
The bytes go past Python's buffer, which would keep what a closed pipe refused and write it a
second time.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import ClassVar, Literal

from pydantic import Field

from bridge.sinks.base import Batch, Retry, Sink, SinkSettings


class StdoutSettings(SinkSettings):
    """Settings of the sink `stdout`."""

    type: Literal["stdout"] = Field(description="Writes one event a line to standard output.")


class StdoutSink(Sink):
    """Writes each event as one line to standard output.

    Retried: nothing but a closed output, until somebody reads it again. A reader that stops
    reading without closing holds this sink up, and no other.
    """

    Settings: ClassVar[type[SinkSettings]] = StdoutSettings
    keyed: ClassVar[bool] = False

    def __init__(self, settings: StdoutSettings) -> None:
        self._settings = settings

    def deliver(self, batch: Batch) -> None:
        """Write the events and return once the last byte has left this process."""
        lines = memoryview(b"".join([event.value + b"\n" for event in batch]))
        try:
            sys.stdout.flush()  # what others have printed comes first
            descriptor = sys.stdout.fileno()
            while lines:
                lines = lines[_write(descriptor, lines) :]
        except (OSError, ValueError) as error:
            raise Retry(f"standard output: {_reason(error)}") from error


def _write(descriptor: int, data: memoryview) -> int:
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:  # whoever started us left the pipe non-blocking
            select.select([], [descriptor], [])


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return "nobody reads it any more (broken pipe)"
    return getattr(error, "strerror", None) or str(error)
