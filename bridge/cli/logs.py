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
from collections.abc import Callable
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.foreign import within_json

_LEVELS = logging.getLevelNamesMapping()
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
        self.json = False  # whether its lines are
        self._lock = threading.Lock()  # guards all below, so that lines stay whole
        self._stuck = False
        self._torn = False
        self.lost_lines = 0

    def write(self, text: str) -> int:
        """Write a line, or leave it out."""
        hidden = within_json(text, self._hide) if self.json else self._hide(text)
        data = hidden.encode("utf-8", "backslashreplace")
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
) -> Log:
    """Set up logging for the process.

    Args:
        level: debug, info, warning or error.
        form: json or console; None for console on a terminal, else json.
        instance: the name of this bridge, put into every line; empty to leave it out.
        hide: takes out what must not be shown.
        onlooker: sees each line of ours that is logged.

    Returns:
        The log, whose level and form may be changed.
    """
    stream = LogStream(sys.stderr.fileno() if sys.stderr is not None else 2, hide=hide)
    made = Log(stream, instance, onlooker)
    made.change(level, form)
    structlog.configure(
        processors=[made],
        # Loggers are kept where they were first used, so that the level is looked at by the log.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    return made


class Log:
    """What becomes of each line (a structlog processor): the log of the process.

    Where a processor fails, the line is written with less in it. Any thread may log and change.

    Args:
        stream: where lines go.
        instance: as of `configure`.
        onlooker: as of `configure`.
    """

    def __init__(self, stream: LogStream, instance: str, onlooker: Processor | None) -> None:
        self._stream = stream
        self._shared: list[Processor] = [
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ]
        if instance:
            self._shared.append(_Constant(instance=instance))
        self._onlooker = [onlooker] if onlooker else []
        self._handler = logging.StreamHandler(stream)
        logging.raiseExceptions = False
        logging.basicConfig(handlers=[self._handler], force=True)

    def change(self, level: str, form: Literal["json", "console"] | None) -> None:
        """Log from now on what has this level, in this form; arguments as of `configure`."""
        if form is None:
            form = "console" if self._stream.isatty() else "json"
        finish: list[Processor]
        if form == "json":
            # A traceback is one field of a line; the console renderer prints it by itself, plainly:
            # where `rich` is installed it would show local variables, secrets among them.
            finish = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        else:
            finish = [
                structlog.dev.ConsoleRenderer(
                    colors=coloured(self._stream),
                    timestamp_key="time",
                    exception_formatter=structlog.dev.plain_traceback,
                )
            ]
        self._stream.json = form == "json"
        self._processors = [*self._shared, *self._onlooker, *finish]
        self._threshold = _LEVELS[level.upper()]
        self._handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*self._shared, structlog.stdlib.add_logger_name],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
            )
        )
        logging.getLogger().setLevel(max(self._threshold, _LIBRARY_LEVEL))

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> str:
        """Return a line as it is written.

        Raises:
            structlog.DropEvent: it is not to be written.
        """
        if _LEVELS[name.upper()] < self._threshold:
            raise structlog.DropEvent
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


def coloured(stream: LogStream) -> bool:
    """Whether a person looks at it who has not asked for plain text (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class _Constant:
    """Put the same fields into every line."""

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:  # noqa: ARG002
        return {**self._fields, **line}
