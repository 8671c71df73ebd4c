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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from .server import Server, ServiceMissing

_USER = "postgres"


def programs() -> Path:
    """Return the folder with `initdb` and `postgres`, of the newest version there is.

    Raises:
        ServiceMissing: there is none, or root has no user to run it as.
    """
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if not found and not places:
        raise ServiceMissing("no PostgreSQL: apt install postgresql")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            raise ServiceMissing(f"as root a user {_USER} is needed to run it as") from None
    return Path(found or places[-1]).resolve().parent


def _version(path: Path) -> int:
    return int(path.parts[4])


class PostgresServer(Server):
    """One PostgreSQL."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    kill_signal: ClassVar[signal.Signals] = signal.SIGQUIT

    @property
    def dsn(self) -> str:
        """Where clients connect, as the superuser."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

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

    def prepare(self) -> None:
        """See `Server.prepare`."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
        command = [str(programs() / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
        run = subprocess.run(
            [*command, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self.options(),
        )
        if run.returncode:
            raise RuntimeError(f"initdb failed: {run.stdout}{run.stderr}")

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [
            str(programs() / "postgres"),
            *("-D", str(self.folder / "data"), "-p", str(self.port)),
            *("-h", "127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "fsync=off"),  # a kill of the server needs none
        ]

    def options(self) -> dict[str, Any]:
        """See `Server.options`."""
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(_USER)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True
