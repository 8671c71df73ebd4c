"""A program written for the vendor's monitor client: prints every callback as a line of JSON.

Usage: monitor_program.py MODULE URL MONITOR_PORT TABLE MODE

MODE says what is to become of a record that does not decode, SKIP or ABORT. MODULE is `gpudb` or
`bridge.monitor`: the one import by which a program moves over. The vendor's constructor can hang
for good (protocol, section 4.5); the program then ends with exit code 75, and whoever started it
tries again.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any

import gpudb

HUNG = 75
CONSTRUCTION_SECONDS = 5.0

module, url, monitor_port, table, mode = sys.argv[1:]
Monitor: Any = importlib.import_module(module).GPUdbTableMonitor

printing = threading.Lock()  # the vendor's client calls back from a thread for each monitor


def tell(kind: str, value: object) -> None:
    if isinstance(value, dict):
        value = [[key, shown(each)] for key, each in value.items()]
    with printing:
        print(json.dumps([kind, shown(value)]), flush=True)


def shown(value: object) -> object:
    """Return what JSON can say, with the type where JSON would lose it."""
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


class Printer(Monitor.Client):  # type: ignore[misc]
    """The client as most programs use it: derived, with methods as callbacks."""

    def __init__(self, db: gpudb.GPUdb, table_name: str, options: Any) -> None:
        kind = Monitor.Callback.Type
        decoded = Monitor.Callback.InsertDecodedOptions(
            Monitor.Callback.InsertDecodedOptions.DecodeFailureMode[mode]
        )
        callbacks = [
            Monitor.Callback(kind.INSERT_RAW, self.on_insert_raw, self.on_error),
            Monitor.Callback(kind.INSERT_DECODED, self.on_insert_decoded, self.on_error, decoded),
            Monitor.Callback(kind.UPDATED, self.on_update, self.on_error),
            Monitor.Callback(kind.DELETED, self.on_delete, self.on_error),
            Monitor.Callback(kind.TABLE_ALTERED, self.on_alter, self.on_error),
            Monitor.Callback(kind.TABLE_DROPPED, self.on_drop, self.on_error),
        ]
        super().__init__(db, table_name, callback_list=callbacks, options=options)

    def on_insert_raw(self, record: bytes) -> None:
        tell("INSERT_RAW", record)

    def on_insert_decoded(self, record: dict[str, Any]) -> None:
        tell("INSERT_DECODED", record)

    def on_update(self, count: int) -> None:
        tell("UPDATED", count)

    def on_delete(self, count: int) -> None:
        tell("DELETED", count)

    def on_alter(self, message: str) -> None:
        tell("TABLE_ALTERED", message)

    def on_drop(self, message: str) -> None:
        tell("TABLE_DROPPED", message)

    def on_error(self, message: str) -> None:
        tell("ERROR", str(message))


# Minutes: how soon a silent client asks whether its table still exists.
options = Monitor.Options({"inactivity_timeout": 0.01, "monitor_port": int(monitor_port)})
made: list[Any] = []


def construct() -> None:
    made.append(Printer(gpudb.GPUdb(host=url), table, options))


constructing = threading.Thread(target=construct, daemon=True)
constructing.start()
constructing.join(CONSTRUCTION_SECONDS)
if not made:
    os._exit(HUNG)
made[0].start_monitor()
tell("STARTED", None)
sys.stdin.readline()
made[0].stop_monitor()
tell("STOPPED", None)
os._exit(0)
