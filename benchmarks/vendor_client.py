"""The rival: the vendor's monitor client with the shortest callback that does the work.

    vendor_client.py URL MONITOR_PORT TABLE file PATH FLUSH_SECONDS
    vendor_client.py URL MONITOR_PORT TABLE kafka SERVERS TOPIC

Prints one line once it listens, and ends with its stdin. Lines are buffered and flushed every
FLUSH_SECONDS, 0 for each line; nothing is synced to the disk. Delivery reports are polled from
a thread of their own, without which it is eight times slower at one record a message.

The vendor's constructor can hang for good (it connects before it watches its connection); the
program then ends with exit code 75, and whoever started it tries again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpudb
import orjson
from confluent_kafka import Producer
from gpudb import GPUdbTableMonitor as Monitor

from bridge.sinks.kafka_settings import KafkaSettings

HUNG = 75
CONSTRUCTION_SECONDS = 5.0

Callback = Callable[[dict[str, Any]], None]


def to_file(path: str, flush_seconds: str) -> Callback:
    out = Path(path).open("ab", buffering=2**20)  # noqa: SIM115 (open as long as the program)
    interval = float(flush_seconds)
    lock = threading.Lock()

    def write(record: dict[str, Any]) -> None:
        with lock:
            out.write(orjson.dumps(record) + b"\n")
            if not interval:
                out.flush()

    def flush() -> None:
        while True:
            time.sleep(interval)
            with lock:
                out.flush()

    if interval:
        threading.Thread(target=flush, daemon=True).start()
    return write


def to_kafka(servers: str, topic: str) -> Callback:
    settings = KafkaSettings(type="kafka", bootstrap_servers=servers)
    producer = Producer(settings.configuration())

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


def main() -> None:
    url, monitor_port, table, kind, *place = sys.argv[1:]
    write = {"file": to_file, "kafka": to_kafka}[kind](*place)
    made: list[Monitor.Client] = []

    def construct() -> None:
        callback = Monitor.Callback(Monitor.Callback.Type.INSERT_DECODED, write, print)
        options = Monitor.Options({"monitor_port": int(monitor_port)})
        made.append(Monitor.Client(gpudb.GPUdb(host=url), table, [callback], options=options))

    constructing = threading.Thread(target=construct, daemon=True)
    constructing.start()
    constructing.join(CONSTRUCTION_SECONDS)
    if not made:
        os._exit(HUNG)
    # Its default is a line of log for every message.
    made[0].logging_level = logging.WARNING
    made[0].start_monitor()
    print("listening", flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads wait in libzmq and would not let it go


if __name__ == "__main__":
    main()
