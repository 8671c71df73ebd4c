"""Which receiver there is: in C where it proves itself at import, else the one of pyzmq.

Both give the same results. The proof is a round trip of messages of every kind through both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import zmq

from bridge.codec import IMPLEMENTATION as CODEC
from bridge.codec import Codec, compile_schema
from bridge.events import Column, Schema
from bridge.monitor.arrivals import Limits, R, Receiver
from bridge.monitor.receive_pyzmq import PyzmqReceiver

_TRIAL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """A route of the self-test."""

    name: str
    table: str
    codec: Codec


def _choose() -> tuple[type[Receiver[Any]], str | None]:
    if CODEC != "c":
        return PyzmqReceiver, "there is no compiled codec"
    from bridge.monitor.receive_native import (  # noqa: PLC0415 (absent without a compiler)
        NativeReceiver,
        NoLibrary,
        load,
    )

    try:
        load()
        same = _agree(NativeReceiver(), PyzmqReceiver())
    except NoLibrary as error:
        return PyzmqReceiver, str(error)
    except Exception as error:  # noqa: BLE001 (what cannot prove itself is not used)
        return PyzmqReceiver, f"the self-test failed: {error!r}"
    return (NativeReceiver, None) if same else (PyzmqReceiver, "the self-test failed")


def _agree(*receivers: Receiver[_Trial]) -> bool:
    """Send the same messages to receivers; whether they report the same, and not nothing."""
    schema = Schema("0", (Column("n", "int", "int"), Column("s", "string", "string", True)))
    codec = compile_schema(schema)
    routes = {
        b"t": _Trial("t", "a", codec),
        b"t2": _Trial("t2", "a", codec),
        b"u": _Trial("u", "b", codec),
    }
    good, other, bad = b"\x02\x00\x02x", b"\x04\x02", b"\x02\x00\x04x"
    messages = [
        [b"t", good],
        [b"t", other, good],
        [b"u", good, bad, bad, other],
        [b"t2", other],
        [b"t"],
        [b"t3", good],
        [b"t", b"", good],
        [b"u", *[good] * 50],
    ]
    results = []
    with zmq.Context() as context:
        for number, receiver in enumerate(receivers):
            endpoint = f"inproc://trial-{number}"
            for topic, route in routes.items():
                receiver.add(topic, route)
            with context.socket(zmq.XPUB) as publisher, context.socket(zmq.SUB) as socket:
                publisher.linger = socket.linger = 0
                publisher.rcvtimeo = int(_TRIAL_SECONDS * 1000)
                publisher.bind(endpoint)
                socket.connect(endpoint)
                socket.subscribe(b"")
                publisher.recv()  # the subscription stands
                for message in messages * 2:
                    publisher.send_multipart(message)
                results.append([_pass(receiver, socket, room) for room in (2000, 2**20, 2**20)])
    return all(result == results[0] for result in results)


def _pass(receiver: Receiver[_Trial], socket: zmq.Socket[bytes], room: int) -> str:
    found = receiver.drain(socket, Limits(4000, 1000, room), 7)
    return repr(found._replace(losses=sorted(found.losses, key=lambda loss: loss.route.name)))


_Implementation, WHY_NOT_C = _choose()
"""Why messages are received through pyzmq, None where they are received in C."""

IMPLEMENTATION = "pyzmq" if _Implementation is PyzmqReceiver else "c"
"""How messages are received: `c` or `pyzmq`."""


def make_receiver() -> Receiver[R]:
    """Make a receiver."""
    return _Implementation()
