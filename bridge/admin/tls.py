"""TLS of the admin port: each connection shakes hands in its own thread, for a limited time."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import structlog

from bridge.errors import cause_of

log = structlog.get_logger()

# All of a handshake, however slowly its bytes come.
_HANDSHAKE_SECONDS = 10.0
# Who asks with http asks every few seconds: so often a line says it, with the number since.
_SAY_SECONDS = 60.0


class Handshakes:
    """Turns what the admin port accepts into connections with TLS, if it speaks that.

    Any thread may call.

    Attributes:
        context: whom connections from now on are shown, None for plain http.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self._lock = threading.Lock()  # guards what was said
        self._said_at = -_SAY_SECONDS
        self._failed = 0

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return what a connection is spoken to over; nothing is sent or waited for."""
        context = self.context
        if context is None:
            return connection
        connection.settimeout(_HANDSHAKE_SECONDS)
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def shake(self, connection: socket.socket, client: str) -> bool:
        """Shake hands with who speaks TLS; False where that fails, for which a line is logged."""
        if not isinstance(connection, ssl.SSLSocket):
            return True
        try:
            connection.do_handshake()
        except OSError as error:
            self._say(client, _cause(error))
            return False
        return True

    def _say(self, client: str, cause: str) -> None:
        with self._lock:
            now = time.monotonic()
            self._failed += 1
            if now - self._said_at < _SAY_SECONDS:
                return
            self._said_at, failed, self._failed = now, self._failed, 0
        log.warning("admin_handshake_failed", client=client, cause=cause, handshakes=failed)


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no handshake within {_HANDSHAKE_SECONDS:g} s"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return cause_of(error)
