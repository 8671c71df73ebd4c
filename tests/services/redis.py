"""A real Redis on loopback, with an append-only file in a folder of its own, on a free port.

The program is that of the distribution (`apt install redis-server`).
"""

from __future__ import annotations

import signal
from typing import ClassVar

import redis

from .server import Server, find_program


def program() -> str:
    """Return the path of `redis-server`.

    Raises:
        ServiceMissing: there is none.
    """
    return find_program("redis-server", "redis-server")


class RedisServer(Server):
    """One Redis, with what it was given as arguments."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # else it waits for its replicas

    def __init__(self, *settings: str) -> None:
        super().__init__()
        self._settings = settings

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a client of the test's own."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=10)

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [
            program(),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *self._settings,
        ]

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            with self.client() as client:
                client.info()
        except (redis.ConnectionError, redis.ResponseError):
            return False
        return True
