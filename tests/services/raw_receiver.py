"""A webhook receiver that writes whatever bytes a test likes for an answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
Reply = Callable[[socket.socket, int], None]


class RawReceiver:
    """Reads requests and lets `reply` write whatever it likes; a context manager.

    Attributes:
        url: where to post.
        requests: head and body of each, with the number of its connection.
        reply: called with the connection and the number of the request.
    """

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.requests: list[tuple[int, bytes, bytes]] = []
        self.reply: Reply = lambda connection, _: connection.sendall(NO_CONTENT)
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._server = socket.create_server((host, 0), family=family)
        port = self._server.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/hook"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._server, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def connections(self) -> list[int]:
        """Return the number of the connection of each request."""
        return [number for number, _, _ in self.requests]

    def _accept(self) -> None:
        for number in range(100):
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, number))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            while line := file.readline():
                head = [line]
                while (line := file.readline()).strip():
                    head.append(line)
                length = next(
                    (int(each[15:]) for each in head if each.startswith(b"Content-Length")), 0
                )
                self.requests.append((number, b"".join(head), file.read(length)))
                self.reply(connection, len(self.requests) - 1)
