"""The table monitor client, derived from, with callbacks that log what they are told.

    python examples/table_monitor_log.py http://localhost:9191

Makes a table, monitors it, changes it, drops it, and ends, as the client does with the drop.
No Kinetica at hand: `kinetica-bridge emulator` in another terminal.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

from weather_table import WeatherTable

from bridge.monitor import GPUdbTableMonitor

log = logging.getLogger("weather")


class LoggingMonitor(GPUdbTableMonitor.Client):
    """Logs every event of one table.

    Args:
        db: a URL of Kinetica, several of them, or a connected `gpudb.GPUdb`.
        table_name: the table.
        options: how to monitor it.
    """

    def __init__(
        self, db: Any, table_name: str, options: GPUdbTableMonitor.Options | None = None
    ) -> None:
        # Leave out what you do not want to hear of: no table monitor is made for it.
        kind = GPUdbTableMonitor.Callback.Type
        decoding = GPUdbTableMonitor.Callback.InsertDecodedOptions(
            GPUdbTableMonitor.Callback.InsertDecodedOptions.DecodeFailureMode.SKIP
        )
        callbacks = [
            GPUdbTableMonitor.Callback(kind.INSERT_RAW, self.on_insert_raw, self.on_error),
            GPUdbTableMonitor.Callback(
                kind.INSERT_DECODED, self.on_insert_decoded, self.on_error, decoding
            ),
            GPUdbTableMonitor.Callback(kind.UPDATED, self.on_updated, self.on_error),
            GPUdbTableMonitor.Callback(kind.DELETED, self.on_deleted, self.on_error),
            GPUdbTableMonitor.Callback(kind.TABLE_ALTERED, self.on_altered, self.on_error),
            GPUdbTableMonitor.Callback(kind.TABLE_DROPPED, self.on_dropped, self.on_error),
        ]
        super().__init__(db, table_name, callbacks, options=options)

    def on_insert_raw(self, record: bytes) -> None:
        """Take an inserted record as the bytes that came."""
        log.info("inserted, %d bytes: %s", len(record), record.hex())

    def on_insert_decoded(self, record: dict[str, Any]) -> None:
        """Take an inserted record as a dict, columns in order."""
        log.info("inserted: %s", record)

    def on_updated(self, count: int) -> None:
        """Take the number of rows that one operation updated."""
        log.info("updated: %d rows", count)

    def on_deleted(self, count: int) -> None:
        """Take the number of rows that one operation deleted."""
        log.info("deleted: %d rows", count)

    def on_altered(self, table_name: str) -> None:
        """Take the name of the table whose columns are others now."""
        log.warning("altered: %s", table_name)

    def on_dropped(self, table_name: str) -> None:
        """Take the name of the table that is gone; after this the client stops."""
        log.warning("dropped: %s", table_name)

    def on_error(self, message: str) -> None:
        """Take a message: what did not decode, or was missed, or is in the way."""
        log.error("%s", message)


def main() -> None:
    """Monitor a table while it is changed."""
    parser = argparse.ArgumentParser(description="Logs what happens to a table in Kinetica.")
    parser.add_argument("url", help="http[s]://[user:password@]host[:port]")
    parser.add_argument("--table", default="examples.weather_log", help="made anew, then dropped")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    table = WeatherTable(arguments.url, arguments.table)
    # Minutes: whether the table still exists is asked this often where nothing happens.
    options = GPUdbTableMonitor.Options({"inactivity_timeout": 0.02})
    monitor = LoggingMonitor(arguments.url, arguments.table, options)
    monitor.logging_level = logging.WARNING
    monitor.start_monitor()
    try:
        for _ in range(3):
            table.report(4)
        table.correct(1, 6)
        table.forget(3)
        table.drop()
        monitor.wait(timeout=60)
    finally:
        monitor.stop_monitor()


if __name__ == "__main__":
    main()
