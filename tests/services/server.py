"""A real server on loopback in a folder of its own: started, frozen, killed and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from .process import free_port

START_TIMEOUT = 90.0
STOP_TIMEOUT = 20.0


class ServiceMissing(Exception):
    """Something cannot be run on this machine; the message says what to install."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        ServiceMissing: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise ServiceMissing(f"no {name}: apt install {package}")
    return found


class Server:
    """One process; a context manager that leaves neither it nor its folder behind.

    Its port and its folder stay the same when it is started again.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self) -> None:
        self.port = free_port()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where its data and its log are."""
        assert self._folder is not None
        return self._folder

    def prepare(self) -> None:
        """Fill the folder before the first start."""

    def command(self) -> list[str]:
        """Return how it is started."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return how its process differs from others."""
        return {}

    def answers(self) -> bool:
        """Ask it for something."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove_folder()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._remove_folder()

    def start(self) -> None:
        """Start it, or start it again on the same data; return when it answers."""
        if self._process is not None:
            return
        self.launch()
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it and return at once."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__}-"))
            self.prepare()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, not for it
                **self.options(),
            )

    def wait_until_it_answers(self) -> None:
        """Return when it answers."""
        assert self._process is not None
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            if self.answers():
                return
            time.sleep(0.05)
        log = (self.folder / "server.log").read_text(errors="replace")
        raise RuntimeError(f"{type(self).__name__} did not start: {log[-4000:]}")

    def stop(self) -> None:
        """End it in order."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it at once, as a crash would: nothing is flushed, connections break."""
        self._end(self.kill_signal)

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it and start it on the same data and port."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def run_alone(make: Callable[[], Server]) -> int:
    """Run a server, whose address is printed, until a signal ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with make() as server:
            print(server, flush=True)
            signal.pause()
    except ServiceMissing as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
