"""Receiving in C: whole passes over a socket with the interpreter's lock released.

The libzmq is the one that pyzmq carries: its path stands in the process's map, and it is opened
only where it is loaded already, since two libraries would not know each other's sockets.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import zmq

from bridge.codec import _native
from bridge.codec.faults import decode_error
from bridge.codec.native import NativeCodec
from bridge.monitor.arrivals import Arrival, Damaged, Drained, Limits, Loss, R, Receiver

_MAPS = Path("/proc/self/maps")


class NoLibrary(Exception):
    """The libzmq that pyzmq uses cannot be found in the process."""


def load() -> None:
    """Find libzmq's functions.

    Raises:
        NoLibrary: they are not to be found.
    """
    try:
        lines = _MAPS.read_text().splitlines()
    except OSError as error:
        raise NoLibrary(f"{_MAPS}: {error.strerror}") from error
    paths = {line.split(maxsplit=5)[5] for line in lines if "libzmq" in line}
    if len(paths) != 1:
        raise NoLibrary(f"{len(paths)} libraries named libzmq are loaded")
    try:
        _native.Receiver.load(paths.pop())
    except OSError as error:
        raise NoLibrary(str(error)) from error


class NativeReceiver(Receiver[R]):
    """Drains in C; `load` comes first, and every codec is the compiled one."""

    def __init__(self) -> None:
        self._receiver = _native.Receiver()
        self._numbers: dict[Hashable, int] = {}
        self._tables: dict[bytes, Hashable] = {}

    def add(self, topic: bytes, route: R) -> None:
        """See `Receiver.add`."""
        codec = route.codec
        if not isinstance(codec, NativeCodec):
            raise TypeError(f"no compiled layout in {codec!r}")
        self.remove(topic)
        number = self._numbers.get(route.table)
        if number is None:
            taken = set(self._numbers.values())
            number = next(n for n in range(len(taken) + 1) if n not in taken)
        self._receiver.add(topic, codec.plan, route, number)
        self._numbers[route.table] = number
        self._tables[topic] = route.table

    def remove(self, topic: bytes) -> None:
        """See `Receiver.remove`."""
        if self._receiver.remove(topic):
            table = self._tables.pop(topic)
            if table not in self._tables.values():
                del self._numbers[table]

    def drain(self, socket: zmq.Socket[bytes], limits: Limits, time: int) -> Drained[R]:
        """See `Receiver.drain`."""
        drained = self._receiver.drain(socket.underlying, *limits)
        arrivals: list[Arrival[R] | Damaged[R]] = []
        for item in drained[0]:
            if len(item) == 3:
                arrivals.append(Arrival(*item, time))
            else:
                route, frame, offset, fault, column = item
                error = decode_error(route.codec.schema.columns, 0, offset, fault, column)
                arrivals.append(Damaged(route, frame, error, time))
        return Drained(arrivals, [Loss(*loss, time) for loss in drained[1]], *drained[2:])
