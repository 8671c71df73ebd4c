"""A program as the vendor's first example of a table monitor is: every callback logs.

Usage: example_logging.py MODULE URL MONITOR_PORT TABLE

It sets up no logging; it writes to the client's logger, and asks the client for a level. MODULE is
the one import by which such a program moves over: `gpudb` or `bridge.monitor`. Monitors until a
line is read from stdin.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import example_main

Monitor: Any = importlib.import_module(sys.argv[1]).GPUdbTableMonitor
Kind: Any = Monitor.Callback.Type


class LoggingMonitor(Monitor.Client):  # type: ignore[misc]
    """Logs what it is told."""

    def __init__(self, db: Any, table_name: str, options: Any = None) -> None:
        abort = Monitor.Callback.InsertDecodedOptions.DecodeFailureMode.ABORT
        callbacks = [
            Monitor.Callback(Kind.INSERT_RAW, self.on_insert_raw, self.on_error),
            Monitor.Callback(
                Kind.INSERT_DECODED,
                self.on_insert_decoded,
                self.on_error,
                Monitor.Callback.InsertDecodedOptions(abort),
            ),
            Monitor.Callback(Kind.UPDATED, self.on_update, self.on_error),
            Monitor.Callback(Kind.DELETED, self.on_delete, self.on_error),
            Monitor.Callback(Kind.TABLE_DROPPED, self.on_table_dropped, self.on_error),
            Monitor.Callback(Kind.TABLE_ALTERED, self.on_table_altered, self.on_error),
        ]
        super().__init__(db, table_name, callback_list=callbacks, options=options)

    def on_insert_raw(self, record: bytes) -> None:
        self._logger.info("raw payload: %s", record)

    def on_insert_decoded(self, record: dict[str, Any]) -> None:
        self._logger.info("decoded payload: %s", record)

    def on_update(self, count: int) -> None:
        self._logger.info("updated: %s", count)

    def on_delete(self, count: int) -> None:
        self._logger.info("deleted: %s", count)

    def on_table_dropped(self, table_name: str) -> None:
        self._logger.error("table %s dropped", table_name)

    def on_table_altered(self, table_name: str) -> None:
        self._logger.error("table %s altered", table_name)

    def on_error(self, message: str) -> None:
        self._logger.error("error: %s", message)


monitor = example_main.construct(Monitor, LoggingMonitor)
monitor.logging_level = logging.DEBUG
monitor.start_monitor()
example_main.wait_for_the_end()
monitor.stop_monitor()
example_main.leave()
