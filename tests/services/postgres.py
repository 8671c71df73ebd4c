"""A real PostgreSQL on loopback: a private cluster in a folder of its own, on a free port.

The programs are those of the distribution (`apt install postgresql`). They refuse to run as root,
who starts them as the user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from services.process import free_port

START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
_USER = "postgres"


class PostgresMissing(Exception):
    """The server cannot be run on this machine; the message says what to install."""


def programs() -> Path:
    """Return the folder with `initdb` and `postgres`, of the newest version there is.

    Raises:
        PostgresMissing: there is none, or root has no user to run it as.
    """
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if not found and not places:
        raise PostgresMissing("no PostgreSQL: apt install postgresql")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            raise PostgresMissing(f"as root a user {_USER} is needed to run it as") from None
    return Path(found or places[-1]).resolve().parent


def _version(path: Path) -> int:
    return int(path.parts[4])


class PostgresServer:
    """One server; a context manager that leaves neither a process nor a folder behind.

    Its port stays the same when it is restarted.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Where clients connect, as the superuser."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

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
        self._end(signal.SIGINT)
        self._remove_folder()

    def start(self) -> None:
        """Start it, or start it again on the same data; return when it answers."""
        if self._process is not None:
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
            self._initialise(self._folder)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(programs() / "postgres"),
                    *("-D", str(self._folder / "data"), "-p", str(self.port)),
                    *("-h", "127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "fsync=off"),  # a kill of the server needs none
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_other_user(),
            )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """End it at once, as a crash would: nothing is flushed, connections break."""
        self._end(signal.SIGQUIT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Make the bridge's connections hang: they stay open and nothing is answered."""
        found = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'kinetica-bridge'"
        )
        for (pid,) in found:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for (pid,) in found:
                os.kill(pid, signal.SIGCONT)

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement in a transaction of its own and return its rows."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _initialise(self, folder: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        command = [str(programs() / "initdb"), "-D", str(folder / "data"), "-U", "postgres"]
        run = subprocess.run(
            [*command, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **_other_user(),
        )
        if run.returncode:
            raise RuntimeError(f"initdb failed: {run.stdout}{run.stderr}")

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        assert self._folder is not None
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        log = (self._folder / "server.log").read_text(errors="replace")
        raise RuntimeError(f"PostgreSQL did not start: {log[-4000:]}")

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


def _other_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
