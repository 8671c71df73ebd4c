"""A program on the monitor client of the vendor or of the bridge: the shortest callback.

    callback_client.py vendor|bridge URL MONITOR_PORT TABLE file PATH
    callback_client.py vendor|bridge URL MONITOR_PORT TABLE kafka SERVERS TOPIC
    callback_client.py vendor|bridge URL MONITOR_PORT TABLE count RECORDS

Prints one line once it listens, and ends with its stdin. Lines to a file are buffered and flushed
every 10 ms; nothing is synced to the disk. Kafka's delivery reports are polled from a thread of
their own, without which it is eight times slower at one record a message. `count` prints a second
line once RECORDS came, or once none came for long: when, how many, and how many out of place.

The vendor's constructor can hang for good (it connects before it watches its connection); the
program then ends with exit code 75, and whoever started it tries again.
"""

# ruff: noqa: PLC0415 (the one client must not be in the process of the other)

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

HUNG = 75
CONSTRUCTION_SECONDS = 5.0
FLUSH_SECONDS = 0.01
PATIENCE_SECONDS = 15.0

Callback = Callable[[dict[str, Any]], None]


def to_file(path: str) -> Callback:
    out = Path(path).open("ab", buffering=2**20)  # noqa: SIM115 (open as long as the program)
    lock = threading.Lock()

    def write(record: dict[str, Any]) -> None:
        with lock:
            out.write(orjson.dumps(record) + b"\n")

    def flush() -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            with lock:
                out.flush()

    threading.Thread(target=flush, daemon=True).start()
    return write


def to_kafka(servers: str, topic: str) -> Callback:
    from benchmarks.bare_producer import producer_to

    producer = producer_to(servers)

    def produce(record: dict[str, Any]) -> None:
        while True:
            try:
                producer.produce(topic, orjson.dumps(record))
            except BufferError:
                time.sleep(0.01)
            else:
                return

    def poll() -> None:
        while True:
            producer.poll(0.1)

    threading.Thread(target=poll, daemon=True).start()
    return produce


def counting(records: str) -> Callback:
    wanted, came, misplaced = int(records), 0, 0

    def count(record: dict[str, Any]) -> None:
        nonlocal came, misplaced
        if record["id"] != came:
            misplaced += 1
        came += 1

    def tell() -> None:
        seen, at = 0, time.monotonic_ns()
        # Patience begins with the first record.
        while seen < wanted and (not seen or time.monotonic_ns() - at < PATIENCE_SECONDS * 1e9):
            time.sleep(0.002)
            if came > seen:
                seen, at = came, time.monotonic_ns()
        print(json.dumps({"came": at, "records": seen, "misplaced": misplaced}), flush=True)

    threading.Thread(target=tell, daemon=True).start()
    return count


def main() -> None:
    whose, url, monitor_port, table, kind, *place = sys.argv[1:]
    makers: dict[str, Callable[..., Callback]] = {
        "file": to_file,
        "kafka": to_kafka,
        "count": counting,
    }
    callback = makers[kind](*place)
    monitors = _monitors(whose)
    made: list[Any] = []

    def construct() -> None:
        insert = monitors.Callback.Type.INSERT_DECODED
        options = monitors.Options({"monitor_port": int(monitor_port)})
        made.append(
            monitors.Client(
                _database(whose, url),
                table,
                [monitors.Callback(insert, callback, _complain)],
                options=options,
            )
        )

    constructing = threading.Thread(target=construct, daemon=True)
    constructing.start()
    constructing.join(CONSTRUCTION_SECONDS)
    if not made:
        os._exit(HUNG)
    # The vendor's default is a line of log for every message.
    made[0].logging_level = logging.WARNING
    made[0].start_monitor()
    print("{}", flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads wait in libzmq and would not let it go


def _complain(what: object) -> None:
    print(what, file=sys.stderr)


def _monitors(whose: str) -> Any:
    if whose == "vendor":
        from gpudb import GPUdbTableMonitor
    else:
        from bridge.monitor import GPUdbTableMonitor
    return GPUdbTableMonitor


def _database(whose: str, url: str) -> Any:
    if whose == "vendor":
        from gpudb import GPUdb

        return GPUdb(host=url)
    return url


if __name__ == "__main__":
    main()
