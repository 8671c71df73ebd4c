"""The addresses that the admin endpoint listens on: every one that a host name stands for."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from bridge.errors import BridgeError

_BACKLOG = 64
# What a machine says of an address that it does not have, or of a family that is switched off.
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on all addresses of a host; `::` takes IPv4 too.

    Args:
        host: a name or an address, an IPv6 one without brackets.
        port: 0 for a free one, the same on every address.

    Raises:
        BridgeError: the name is not known, or an address is taken or not this machine's.
    """
    found: list[socket.socket] = []
    failure: OSError | None = None
    with ExitStack() as opened:
        try:
            addresses = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in dict.fromkeys(addresses):
                # A free port that the first address was given counts for the others.
                place = (address[0], found[0].getsockname()[1] if found else port, *address[2:])
                try:
                    found.append(opened.enter_context(_bound(family, place)))
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    failure = error
            if not found:
                raise failure or OSError("no address")
        except OSError as error:
            raise BridgeError(
                f"cannot listen on {_shown(host, port)}: {error.strerror or error}",
                hint="see admin.listen",
            ) from error
        opened.pop_all()
    return found


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        made.bind(address)
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
