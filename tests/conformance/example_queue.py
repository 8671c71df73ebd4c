"""A program as the vendor's second example of a table monitor is: a queue, and who reads it.

Usage: example_queue.py MODULE URL MONITOR_PORT TABLE

Its callbacks log and put what they are told into a queue; a thread of the program takes it out and
prints it. MODULE is the one import by which it moves over: `gpudb` or `bridge.monitor`. Monitors
until a line is read from stdin.
"""

from __future__ import annotations

import importlib
import logging
import queue
import sys
import threading
from typing import Any

import example_main

Monitor: Any = importlib.import_module(sys.argv[1]).GPUdbTableMonitor
Kind: Any = Monitor.Callback.Type


class QueuedMonitor(Monitor.Client):  # type: ignore[misc]
    """Queues what it is told."""

    def __init__(self, db: Any, table_name: str, options: Any = None) -> None:
        callbacks = [
            Monitor.Callback(Kind.INSERT_RAW, self.on_insert_raw, self.on_error),
            Monitor.Callback(Kind.INSERT_DECODED, self.on_insert_decoded, self.on_error),
            Monitor.Callback(Kind.UPDATED, self.on_update, self.on_error),
            Monitor.Callback(Kind.DELETED, self.on_delete, self.on_error),
        ]
        super().__init__(db, table_name, callback_list=callbacks, options=options)
        # After the base class has come and gone, as the vendor's example does it.
        self.queue: queue.Queue[str | None] = queue.Queue()

    def on_insert_raw(self, record: bytes) -> None:
        self._logger.info("payload: %s", record)
        self.queue.put(f"inserted (raw): {record!r}")

    def on_insert_decoded(self, record: dict[str, Any]) -> None:
        self._logger.info("payload: %s", record)
        self.queue.put(f"inserted (decoded): {record}")

    def on_update(self, count: int) -> None:
        self._logger.info("updated: %s", count)
        self.queue.put(f"updated: {count}")

    def on_delete(self, count: int) -> None:
        self._logger.info("deleted: %s", count)
        self.queue.put(f"deleted: {count}")

    def on_error(self, message: str) -> None:
        self._logger.error("error: %s", message)
        self.queue.put(f"error: {message}")


class Application(threading.Thread):
    """Prints what is in the queue."""

    def __init__(self, items: queue.Queue[str | None]) -> None:
        super().__init__()
        self._items = items

    def run(self) -> None:
        while (item := self._items.get()) is not None:
            example_main.say(item)


monitor = example_main.construct(Monitor, QueuedMonitor)
monitor.logging_level = logging.DEBUG
application = Application(monitor.queue)
application.start()
monitor.start_monitor()
example_main.wait_for_the_end()
monitor.stop_monitor()
monitor.queue.put(None)
application.join()
example_main.leave()
