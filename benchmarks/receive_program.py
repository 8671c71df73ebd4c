"""Receives records and does nothing else with them: the bridge's receiver, pyzmq, or bare C.

    receive_program.py bridge|pyzmq|c PORT TOPIC RECORDS LAYOUT

LAYOUT is JSON, what `Column` takes for each column. Prints one line once it subscribes, and a
second one once RECORDS came: when, and the CPU seconds since the first line, libzmq's threads
included. Exit code 2 where the tree has no such receiver. Losses are an error.
"""

# ruff: noqa: PLC0415 (what another tree lacks, or what is not measured, is not imported)

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

NO_RECEIVER = 2
_PASS_BYTES, _PASS_MESSAGES, _ROOM = 4 * 2**20, 20_000, 64 * 2**20

Loop = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Route:
    """What the bridge's receiver is told of a topic."""

    table: str
    codec: Any


def with_bridge(socket: zmq.Socket[bytes], topic: bytes, layout: str) -> Loop:
    try:
        from bridge.monitor.arrivals import Limits
        from bridge.monitor.receiver import IMPLEMENTATION, make_receiver
    except ImportError:
        sys.exit(NO_RECEIVER)
    from bridge.codec import compile_schema
    from bridge.events import Column, Schema

    schema = Schema("1", tuple(Column(*each) for each in json.loads(layout)))
    receiver: Any = make_receiver()
    receiver.add(topic, _Route("t", compile_schema(schema)))
    if IMPLEMENTATION != "c":
        print("the receiver is not the one in C", file=sys.stderr)

    def receive(records: int) -> None:
        limits, drain = Limits(_PASS_BYTES, _PASS_MESSAGES, _ROOM), receiver.drain
        while records > 0:
            found = drain(socket, limits, time.time_ns() // 1000)
            if found.losses or found.error or found.unknown:
                raise RuntimeError(f"{found.losses} {found.error} {found.unknown}")
            records -= sum(arrival.records for arrival in found.arrivals)
            if records > 0 and not found.more:
                socket.poll()

    return receive


def with_pyzmq(socket: zmq.Socket[bytes], _topic: bytes, _layout: str) -> Loop:
    def receive(records: int) -> None:
        recv = socket.recv_multipart
        while records > 0:
            records -= len(recv()) - 1

    return receive


def with_c(socket: zmq.Socket[bytes], _topic: bytes, _layout: str) -> Loop:
    from benchmarks import frames

    frames.encode(0, 0)  # compiles
    return lambda records: frames.receive(socket, records)


def main() -> None:
    how, port, topic, records, layout = sys.argv[1:]
    socket = zmq.Context().socket(zmq.SUB)
    receive = {"bridge": with_bridge, "pyzmq": with_pyzmq, "c": with_c}[how](
        socket, topic.encode(), layout
    )
    socket.connect(f"tcp://127.0.0.1:{port}")
    socket.subscribe(topic.encode())
    print("{}", flush=True)
    before = _cpu_seconds()
    receive(int(records))
    came, after = time.monotonic_ns(), _cpu_seconds()
    print(json.dumps({"came": came, "cpu_seconds": after - before}), flush=True)
    sys.stdin.read()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
