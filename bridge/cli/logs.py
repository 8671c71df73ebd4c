"""Logging: one line an event on stderr, JSON for machines or colours for a terminal.

structlog carries our own lines; what libraries log through the standard library goes the
same way from `warning` on.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

_LIBRARY_LEVEL = logging.WARNING


def configure(level: str, form: Literal["json", "console"] | None) -> None:
    """Set up logging for the process.

    Args:
        level: debug, info, warning or error.
        form: json or console; None for console on a terminal, else json.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if form is None:
        form = "console" if sys.stderr.isatty() else "json"
    # A traceback is one field of a JSON line; the console renderer prints it by itself.
    finish: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time")]
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    logging.basicConfig(level=max(threshold, _LIBRARY_LEVEL), handlers=[handler], force=True)
