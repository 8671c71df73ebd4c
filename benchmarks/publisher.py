"""A Kinetica to measure against: the emulator's HTTP API, and a publisher at full speed.

Runs in a process of its own, told what to do by lines of JSON on stdin, each answered by one
on stdout. Clients make their table monitors over HTTP as ever; notifications leave by a socket
of this program's own, fed by `frames.c`.

    {"do": "tables", "names": [T, …]}               make tables of `orders`
    {"do": "publish", "table": T, "records": N, …}  as `frames.publish`
    {"do": "publish", "topic": T, "records": N, …}  the same, to whoever subscribes to that

Its queue has no limit, so that whatever is lost was lost by the receiver; a real cluster drops
what its queue has no room for. Publishing begins once somebody subscribes, and answers with when
it began and when all was handed to ZeroMQ, nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import gpudb
import zmq

from benchmarks import frames, orders
from kinetica_emulator import Emulator

PATIENCE_MS = 30_000


class Publisher:
    """The socket, and the emulator whose monitors' topics it publishes to."""

    def __init__(self, emulator: Emulator) -> None:
        frames.encode(0, 0)  # compiles what the first publication would wait for
        self._emulator = emulator
        self._db = gpudb.GPUdb(host=emulator.url)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self.port: int = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self._subscribed: set[bytes] = set()

    def tables(self, names: Sequence[str]) -> dict[str, Any]:
        for name in names:
            gpudb.GPUdbTable(orders.COLUMNS, name=name, db=self._db)
        return {}

    def publish(self, table: str = "", topic: str = "", **how: Any) -> dict[str, Any]:
        wanted = topic.encode() or self._topic(table)
        self._await_subscriber(wanted)
        begun = time.monotonic_ns()
        frames.publish(self._socket, wanted, **how)
        return {"begun": begun, "handed_over": time.monotonic_ns()}

    def _topic(self, table: str) -> bytes:
        with self._emulator.database.lock:
            (monitor,) = self._emulator.database.monitors.active(table, "insert")
        return monitor.topic

    def _await_subscriber(self, topic: bytes) -> None:
        while self._socket.poll(0 if topic in self._subscribed else PATIENCE_MS):
            message = self._socket.recv()
            if message[0] == 1:
                self._subscribed.add(message[1:])
            elif message[0] == 0:
                self._subscribed.discard(message[1:])
        if topic not in self._subscribed:
            raise TimeoutError(f"nobody subscribes to {topic.decode()}")


def main() -> None:
    with Emulator() as emulator:
        publisher = Publisher(emulator)
        print(json.dumps({"url": emulator.url, "monitor_port": publisher.port}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(publisher, command.pop("do"))(**command)), flush=True)


if __name__ == "__main__":
    main()
