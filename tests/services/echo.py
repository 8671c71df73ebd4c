"""A server in debug mode: whatever is asked of it, it refuses, and quotes what it was sent."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from typing import Self

_HTTP = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"CONNECT ")


class EchoServer:
    """Speaks HTTP to who speaks HTTP, and else answers as Redis does. A context manager.

    Attributes:
        heard: everything that it was sent.
    """

    def __init__(self) -> None:
        self.heard = b""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing of who hangs up."""


def _handler(server: EchoServer) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            with contextlib.suppress(OSError):
                said = self.request.recv(2**16)
                server.heard += said
                quoted = b"you sent " + said.replace(b"\r\n", b" | ")
                if said.startswith(_HTTP):
                    head = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n"
                    head += b"Content-Length: %d\r\n\r\n" % len(quoted)
                    self.request.sendall(head + quoted)
                else:
                    self.request.sendall(b"-ERR " + quoted + b"\r\n")

    return Handler
