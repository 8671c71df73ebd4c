"""A Kinetica to measure against: the emulator's HTTP API, and a publisher at full speed.

Runs in a process of its own, told what to do by lines of JSON on stdin, each answered by one
on stdout. Clients make their table monitors over HTTP as ever; notifications leave by a socket
of this program's own, whose queue is unlimited: what is lost is lost by the receiver.

    {"do": "table", "name": T}                      make a table of `orders`
    {"do": "prepare", "records": N}                 encode N records, to be kept
    {"do": "burst", "table": T, "per_message": P}   publish them, P a message, at full speed
    {"do": "steady", "table": T, "records": N, "per_second": R}   one a message, stamped as sent

Bursts and steady streams begin once the table's insert monitor has a subscriber, and answer
with when they began and when all was handed to ZeroMQ, nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gpudb
import zmq

from benchmarks import orders
from kinetica_emulator import Emulator

PATIENCE_MS = 30_000


class Publisher:
    """The socket, and the records prepared for it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._db = gpudb.GPUdb(host=emulator.url)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self.port: int = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self._subscribed: set[bytes] = set()
        self._records: list[bytes] = []

    def table(self, name: str) -> dict[str, Any]:
        gpudb.GPUdbTable(orders.COLUMNS, name=name, db=self._db)
        return {}

    def prepare(self, records: int) -> dict[str, Any]:
        if len(self._records) != records:
            now = time.time_ns() // 1000
            self._records = [orders.encode(number, now) for number in range(records)]
        return {"bytes": sum(map(len, self._records))}

    def burst(self, table: str, per_message: int) -> dict[str, Any]:
        topic = self._await_subscriber(table)
        send, records, more = self._socket.send, self._records, zmq.SNDMORE
        begun = time.monotonic_ns()
        for start in range(0, len(records), per_message):
            *frames, last = records[start : start + per_message]
            send(topic, more)
            for frame in frames:
                send(frame, more)
            send(last)
        return {"begun": begun, "handed_over": time.monotonic_ns()}

    def steady(self, table: str, records: int, per_second: float) -> dict[str, Any]:
        topic = self._await_subscriber(table)
        begun = time.monotonic_ns()
        for number in range(records):
            wait = begun / 1e9 + number / per_second - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self._socket.send(topic, zmq.SNDMORE)
            self._socket.send(orders.encode(number, time.time_ns() // 1000))
        return {"begun": begun, "handed_over": time.monotonic_ns()}

    def _await_subscriber(self, table: str) -> bytes:
        with self._emulator.database.lock:
            (monitor,) = self._emulator.database.monitors.active(table, "insert")
        while monitor.topic not in self._subscribed:
            if not self._socket.poll(PATIENCE_MS):
                raise TimeoutError(f"nobody subscribes to {monitor.topic_id}")
            message = self._socket.recv()
            if message[0] == 1:
                self._subscribed.add(message[1:])
        return monitor.topic


def main() -> None:
    with Emulator() as emulator:
        publisher = Publisher(emulator)
        print(json.dumps({"url": emulator.url, "monitor_port": publisher.port}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(publisher, command.pop("do"))(**command)), flush=True)


if __name__ == "__main__":
    main()
