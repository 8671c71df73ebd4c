"""Logging: one line an event on stderr, JSON for machines or colours for a terminal.

structlog carries our own lines; what libraries log through the standard library goes the
same way from `warning` on. Nothing here raises or waits for long: a log that is lost costs
lines, and never the thread that wrote them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LIBRARY_LEVEL = logging.WARNING
# How long a reader of the log may leave its pipe full before lines are left out.
_PATIENCE_SECONDS = 1.0


class LogStream:
    """Writes whole lines to a descriptor; what it does not take is lost. Any thread may write.

    Args:
        descriptor: where to, not closed here.
        patience: seconds a full pipe is waited for, once until it takes something again.
        hide: takes out what must not be shown.
    """

    def __init__(
        self,
        descriptor: int,
        patience: float = _PATIENCE_SECONDS,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._hide = hide
        self._lock = threading.Lock()  # guards all below, so that lines stay whole
        self._stuck = False
        self._torn = False
        self.lost_lines = 0

    def write(self, text: str) -> int:
        """Write a line, or leave it out."""
        data = self._hide(text).encode("utf-8", "backslashreplace")
        with self._lock:
            if self._torn:
                data = b"\n" + data
            while data:
                try:
                    if not self._takes():
                        self.lost_lines += 1
                        break
                    written = os.write(self._descriptor, data[: select.PIPE_BUF])
                except OSError:
                    self.lost_lines += 1
                    break
                data = data[written:]
                self._torn = bool(data)
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(OSError):
            return os.isatty(self._descriptor)
        return False

    def _takes(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        ready = bool(poll.poll(0 if self._stuck else self._patience * 1000))
        self._stuck = not ready
        return ready


def configure(
    level: str,
    form: Literal["json", "console"] | None,
    instance: str = "",
    hide: Callable[[str], str] = str,
    onlooker: Processor | None = None,
) -> None:
    """Set up logging for the process.

    Args:
        level: debug, info, warning or error.
        form: json or console; None for console on a terminal, else json.
        instance: the name of this bridge, put into every line; empty to leave it out.
        hide: takes out what must not be shown.
        onlooker: sees each line of ours that is logged.
    """
    stream = LogStream(sys.stderr.fileno() if sys.stderr is not None else 2, hide=hide)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if instance:
        shared.append(_Constant(instance=instance))
    if form is None:
        form = "console" if stream.isatty() else "json"
    # A traceback is one field of a JSON line; the console renderer prints it by itself. It does so
    # plainly: where `rich` is installed it would show local variables, secrets among them.
    finish: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=coloured(stream),
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_Surely([*shared, *([onlooker] if onlooker else []), *finish])],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    logging.raiseExceptions = False
    logging.basicConfig(level=max(threshold, _LIBRARY_LEVEL), handlers=[handler], force=True)


def coloured(stream: LogStream) -> bool:
    """Whether a person looks at it who has not asked for plain text (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class _Constant:
    """Put the same fields into every line."""

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:  # noqa: ARG002
        return {**self._fields, **line}


class _Surely:
    """Run processors; where one fails, the line is written with less in it."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> str:
        event = str(line.get("event"))
        try:
            result: object = line
            for processor in self._processors:
                result = processor(logger, name, result)  # type: ignore[arg-type]
        except structlog.DropEvent:
            raise
        except Exception as error:  # noqa: BLE001 (a field may be anything, and raise anything)
            lost = {"level": name, "event": event, "unprintable": type(error).__name__}
            return orjson.dumps(lost).decode()
        return str(result)
