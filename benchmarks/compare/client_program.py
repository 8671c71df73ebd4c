"""A program on a table monitor client, the vendor's or ours: one import apart.

    client_program.py SETTINGS    JSON: see `Settings`

Writes what it is told, a JSON line each, `[nanoseconds of the monotonic clock, kind, value]`, to
its log, and ends with its stdin. It does what a careful program would: it tries to start once a
second until it runs, and starts anew where it is told that its table was dropped.

The vendor's constructor can hang for good (it connects before it watches its connection): it is
left behind on its thread then, and tried again on another.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

CONSTRUCTION_SECONDS = 5.0
RETRY_SECONDS = 1.0
STOP_SECONDS = 3.0
FLUSH_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program is to do.

    Attributes:
        module: `gpudb` or `bridge.monitor`.
        urls: the clusters, primary first.
        table: its name.
        options: what the client's `Options` is made of.
        mode: its decode failure mode.
        log: file for what it is told; appended to.
        raise_every: the callback raises for ids that this divides, 0 for never.
        busy_seconds: how long the callback works on a record.
    """

    module: str
    urls: list[str]
    table: str
    options: dict[str, Any]
    mode: str
    log: str
    raise_every: int = 0
    busy_seconds: float = 0.0


class Log:
    """Lines with their time, flushed every few milliseconds from a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=2**20)
        self._lock = threading.Lock()  # the vendor's client calls back from several threads
        threading.Thread(target=self._flush, daemon=True).start()

    def write(self, kind: str, value: object) -> None:
        line = orjson.dumps([time.monotonic_ns(), kind, value], option=orjson.OPT_APPEND_NEWLINE)
        with self._lock:
            self._file.write(line)

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def _flush(self) -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            self.flush()


class Program:
    """The client with its callbacks, started as often as it takes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = Log(Path(settings.log))
        self._monitor: Any = importlib.import_module(settings.module).GPUdbTableMonitor
        self._client: Any = None
        self._dropped = threading.Event()

    def run(self) -> None:
        """Keep a client running."""
        while True:
            self._client = self._start()
            self._log.write("started", None)
            self._dropped.wait()
            self._dropped.clear()
            self.stop()

    def stop(self) -> None:
        """Stop the client, or leave it where it does not stop."""
        if self._client is not None:
            stopping = threading.Thread(target=self._client.stop_monitor, daemon=True)
            stopping.start()
            stopping.join(STOP_SECONDS)
        self._log.flush()

    def _start(self) -> Any:
        while True:
            made: list[Any] = []
            given_up = threading.Event()
            starting = threading.Thread(target=self._construct, args=(made, given_up), daemon=True)
            starting.start()
            starting.join(CONSTRUCTION_SECONDS)
            if made:
                try:
                    made[0].start_monitor()
                except Exception as error:  # noqa: BLE001 (whatever keeps it from starting)
                    self._log.write("not started", f"{type(error).__name__}: {error}")
                else:
                    return made[0]
            elif starting.is_alive():
                given_up.set()  # what becomes of it later is no word about the stream
                self._log.write("not started", "the constructor hangs")
            time.sleep(RETRY_SECONDS)

    def _construct(self, made: list[Any], given_up: threading.Event) -> None:
        import gpudb  # noqa: PLC0415 (a program that has moved over wholly does without)

        settings, monitor = self._settings, self._monitor
        kind = monitor.Callback.Type
        modes = monitor.Callback.InsertDecodedOptions.DecodeFailureMode
        decoding = monitor.Callback.InsertDecodedOptions(modes[settings.mode])
        try:
            place = (
                gpudb.GPUdb(host=settings.urls)
                if settings.module == "gpudb"
                else ",".join(settings.urls)
            )
            callbacks = [
                monitor.Callback(kind.INSERT_DECODED, self._on_record, self._on_error, decoding),
                monitor.Callback(kind.UPDATED, self._on_count, self._on_error),
                monitor.Callback(kind.DELETED, self._on_count, self._on_error),
                monitor.Callback(kind.TABLE_ALTERED, self._on_altered, self._on_error),
                monitor.Callback(kind.TABLE_DROPPED, self._on_dropped, self._on_error),
            ]
            options = monitor.Options(settings.options)
            client = monitor.Client(place, settings.table, callbacks, options)
            client.logging_level = logging.WARNING
        except Exception as error:  # noqa: BLE001 (whatever keeps it from being made)
            if not given_up.is_set():
                self._log.write("not started", f"{type(error).__name__}: {error}")
        else:
            made.append(client)

    def _on_record(self, record: dict[str, Any]) -> None:
        self._log.write("row", record)
        settings = self._settings
        if settings.busy_seconds:
            until = time.perf_counter() + settings.busy_seconds
            while time.perf_counter() < until:
                pass
        if settings.raise_every and record["id"] and record["id"] % settings.raise_every == 0:
            raise LookupError(f"nothing known of {record['id']}")

    def _on_count(self, count: int) -> None:
        self._log.write("count", count)

    def _on_altered(self, message: str) -> None:
        self._log.write("altered", str(message))

    def _on_dropped(self, message: str) -> None:
        self._log.write("dropped", str(message))
        self._dropped.set()

    def _on_error(self, message: str) -> None:
        self._log.write("error", str(message))


def main() -> None:
    """Run until stdin ends."""
    program = Program(Settings(**json.loads(sys.argv[1])))
    threading.Thread(target=program.run, daemon=True).start()
    sys.stdin.read()
    program.stop()
    os._exit(0)  # the vendor's threads wait in libzmq and would not let it go


if __name__ == "__main__":
    main()
