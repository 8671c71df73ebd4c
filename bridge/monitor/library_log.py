"""The library's log lines go where a Python program expects them: into `logging`.

The bridge logs with structlog, which prints to stdout until somebody configures it. A library
must not print, so the first client hands structlog's lines to the logger `bridge.monitor`,
unless the program has configured structlog itself: then they go where its own go.

A program that asks for a level and has set up no logging gets lines on stderr, as with the
vendor's client.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

logger = logging.getLogger("bridge.monitor")

# The vendor's client writes its lines so.
_FORMAT = "%(asctime)s %(levelname)-8s {%(funcName)s:%(lineno)d} %(message)s"

# Whoever writes a line stands above three calls of structlog and logging.
_CALLER = 4


class _Fallback(logging.Handler):
    """Writes lines to stderr as long as nobody else takes them."""

    def emit(self, record: logging.LogRecord) -> None:
        if self._alone(logging.getLogger(record.name)) and sys.stderr is not None:
            try:
                sys.stderr.write(self.format(record) + "\n")
            except (OSError, ValueError):
                self.handleError(record)

    def _alone(self, source: logging.Logger | None) -> bool:
        """Whether a logger's lines reach no other handler."""
        while source is not None:
            others = (each for each in source.handlers if each is not self)
            if any(not isinstance(each, logging.NullHandler) for each in others):
                return False
            source = source.parent if source.propagate else None
        return True


_fallback = _Fallback()
_fallback.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))


def set_level(level: int | str) -> None:
    """Set the level of the library's logger; whoever does so sees what it lets through.

    Raises:
        ValueError, TypeError: that is no level.
    """
    logger.setLevel(level)
    logger.addHandler(_fallback)  # it is there once, however often it is added


def log_through_logging() -> None:
    """Send structlog's lines to `logging`; does nothing where structlog is configured."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _as_text,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        # structlog's own factory replaces the class of every logger in the process.
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )


def _as_text(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """Write a line as `event name=value name=value`; a traceback is for `logging` to show."""
    event, error = fields.pop("event"), fields.pop("exc_info", None)
    named = [f"{name}={value}" for name, value in fields.items() if value is not None]
    line = " ".join([str(event), *named])
    # False, lest an `exception` look for one by itself.
    return (line,), {"stacklevel": _CALLER, "exc_info": error or False}
