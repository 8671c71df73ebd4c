"""`frames.c`, compiled with `cc` against the libzmq that pyzmq carries, and loaded.

The library is the one that is in the process already, so that its sockets may be handed over.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import zmq

_SOURCE = Path(__file__).with_name("frames.c")
_LIBZMQ = re.compile(r"\S*/libzmq[^/ ]*\.so[^/ ]*$", re.MULTILINE)


def libzmq() -> Path:
    """Return the file of the libzmq that this process has loaded.

    Raises:
        RuntimeError: there is none; pyzmq was built with its own inside, say.
    """
    found = _LIBZMQ.search(Path("/proc/self/maps").read_text())
    if found is None:
        raise RuntimeError(f"no libzmq of its own in this process, pyzmq {zmq.__version__}")
    return Path(found.group())


@cache
def _library() -> ctypes.CDLL:
    zmq_library = libzmq()
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "frames.so")
        command = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(built), str(_SOURCE)]
        rpath = f"-Wl,-rpath,{zmq_library.parent}"
        # Its own dependencies are in the process too.
        subprocess.run(
            [*command, str(zmq_library), rpath, "-Wl,--allow-shlib-undefined"], check=True
        )
        return ctypes.CDLL(str(built))


def encode(number: int, sent: int, pad: int = 0) -> bytes:
    """Return one record as a table monitor sends it."""
    buffer = ctypes.create_string_buffer(pad + 256)
    length = _library().order(buffer, *map(ctypes.c_int64, (number, sent, pad)))
    return buffer.raw[:length]


def publish(
    socket: zmq.Socket[bytes],
    topic: bytes,
    *,
    records: int,
    first: int = 0,
    per_message: int = 1,
    per_second: float = 0,
    pad: int = 0,
) -> None:
    """Publish records of consecutive numbers; returns once all are handed to ZeroMQ.

    Args:
        socket: of this thread.
        topic: their topic.
        records: how many.
        first: the number of the first.
        per_message: how many in a notification.
        per_second: notifications a second, 0 for as fast as can be.
        pad: bytes by which each record is made longer.
    """
    failed = _library().publish(
        ctypes.c_void_p(socket.underlying),
        topic,
        *map(ctypes.c_int64, (len(topic), first, records, per_message)),
        ctypes.c_double(per_second),
        ctypes.c_int64(pad),
    )
    _check(failed)


def receive(socket: zmq.Socket[bytes], records: int) -> None:
    """Receive and copy so many records in a bare loop on libzmq."""
    _check(_library().receive(ctypes.c_void_p(socket.underlying), ctypes.c_int64(records)))


def _check(failed: int) -> None:
    if failed:
        raise OSError(failed, errno.errorcode.get(failed, os.strerror(failed)))
