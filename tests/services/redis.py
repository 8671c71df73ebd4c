"""A real Redis on loopback, with an append-only file in a folder of its own, on a free port.

The program is that of the distribution (`apt install redis-server`).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from services.process import free_port

START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0


class RedisMissing(Exception):
    """The server cannot be run on this machine; the message says what to install."""


def program() -> str:
    """Return the path of `redis-server`.

    Raises:
        RedisMissing: there is none.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise RedisMissing("no redis-server: apt install redis-server")
    return found


class RedisServer:
    """One server; a context manager that leaves neither a process nor a folder behind.

    Its port stays the same when it is restarted; so does what it was given.
    """

    def __init__(self, *settings: str) -> None:
        self.port = free_port()
        self._settings = settings
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove_folder()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._remove_folder()

    def client(self) -> redis.Redis:
        """Return a client of the test's own."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=10)

    def start(self) -> None:
        """Start it, or start it again on the same data; return when it answers."""
        if self._process is not None:
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program(),
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                    *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
                    *self._settings,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT)

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        assert self._folder is not None
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with self.client() as client:
                    client.info()
            except (redis.ConnectionError, redis.ResponseError):
                time.sleep(0.02)
            else:
                return
        log = (self._folder / "server.log").read_text(errors="replace")
        raise RuntimeError(f"Redis did not start: {log[-4000:]}")

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
