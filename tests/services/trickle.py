"""A webhook receiver whose answer comes a byte at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class TricklingReceiver:
    """Answers with a header that takes eight seconds, until `release` is called."""

    _STEPS = 80

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        self.tries = 0
        self.finished = threading.Event()  # an answer went through to its end
        self._released = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def release(self) -> None:
        """Answer at once from now on."""
        self._released.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while self._read_request(connection):
                self.tries += 1
                trickled = not self._released.is_set()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: ")
                for _ in range(self._STEPS):
                    if self._released.wait(0.1):
                        break
                    connection.sendall(b"x")
                if trickled and not self._released.is_set():
                    self.finished.set()
                connection.sendall(b"\r\n\r\n")

    @staticmethod
    def _read_request(connection: socket.socket) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65536)
            if not more:
                return False
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65536)
        return True
