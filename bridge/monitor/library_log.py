"""The library's log lines go where a Python program expects them: into `logging`.

The bridge logs with structlog, which prints to stdout until somebody configures it. A library
must not print, so the first client hands structlog's lines to the logger `bridge.monitor`,
unless the program has configured structlog itself: then they go where its own go.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

logger = logging.getLogger("bridge.monitor")


def log_through_logging() -> None:
    """Send structlog's lines to `logging`; does nothing where structlog is configured."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _as_text,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        # structlog's own factory replaces the class of every logger in the process.
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )


def _as_text(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> str:
    """Write a line as `event name=value name=value`, a traceback under it."""
    event, trace = fields.pop("event"), fields.pop("exception", None)
    named = [f"{name}={value}" for name, value in fields.items() if value is not None]
    line = " ".join([str(event), *named])
    return f"{line}\n{trace}" if trace else line
