"""TCP sockets of this process that lose their network: by descriptor, whoever owns them.

A socket filter that accepts nothing makes the kernel drop what arrives before TCP sees it: no
acknowledgement, no reset, as on a cut line; on a listening socket, connecting times out. Linux
only, without privileges. A descriptor is touched only if it is still a socket of the port named.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Iterator

from kinetica_emulator.errors import EmulatorError

# From Linux's asm-generic/socket.h; Python does not name them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
# One instruction of the classic packet filter: return 0, keep nothing of the packet.
_REFUSE_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)


def require_filters() -> None:
    """Do nothing where sockets can be silenced.

    Raises:
        EmulatorError: this system has no socket filters.
    """
    if sys.platform != "linux":
        raise EmulatorError("going silent needs socket filters, which only Linux has")


def silence(descriptor: int, port: int) -> None:
    """Drop all that arrives at a socket from now on; needs socket filters."""
    with _borrowed(descriptor, port) as borrowed:
        if borrowed is not None:
            program = struct.pack("HL", 1, ctypes.addressof(_REFUSE_ALL))
            borrowed.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def restore(descriptor: int, port: int) -> None:
    """Let a socket receive again; a socket that was not silenced stays as it is."""
    with _borrowed(descriptor, port) as borrowed:
        if borrowed is not None:
            with contextlib.suppress(OSError):
                borrowed.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def shut(descriptor: int, port: int) -> None:
    """End a connection in both directions; a listening socket stays as it is."""
    with _borrowed(descriptor, port) as borrowed:
        if borrowed is not None and not borrowed.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            with contextlib.suppress(OSError):
                borrowed.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _borrowed(descriptor: int, port: int) -> Iterator[socket.socket | None]:
    """Use a descriptor as a socket without owning it; None if it is not one of that port."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        name = borrowed.getsockname()
        yield borrowed if isinstance(name, tuple) and name[1] == port else None
    finally:
        borrowed.detach()
