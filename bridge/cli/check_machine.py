"""What `check` tries on this machine: the journal's folder and its disk, and the admin port."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from bridge.admin.listening import listen
from bridge.cli.check_finding import Finding, fine, odd, said, wrong
from bridge.cli.listing import counted
from bridge.cli.service import NotRunning, RequestFailed, Service
from bridge.config import Config
from bridge.errors import BridgeError
from bridge.journal import filesystem_problem, holder_of, overview
from bridge.sinks.folders import folder_problem


def machine(config: Config) -> Iterator[Finding]:
    """Try the journal's folder and the admin port."""
    service = _service(config)
    yield from _journal(config, service)
    yield _admin(config, service)


def _service(config: Config) -> str | None:
    """Say what serves at `admin.listen`: `ours`, `other` for another program, None for nothing.

    Ours is a service of this journal: it takes the token that lies there.
    """
    try:
        Service(config).get("/livez")
    except NotRunning:
        return None
    except RequestFailed:
        pass  # of ours, and not well
    except BridgeError:
        return "other"
    try:
        Service(config).get("/api/tail")
    except RequestFailed as error:
        return "other" if error.status in {401, 403} else "ours"
    except BridgeError:
        return "other"
    return "ours"


def _journal(config: Config, service: str | None) -> Iterator[Finding]:
    path, what = config.journal.path, f"journal {config.journal.path}"
    user = f"user {os.geteuid()}"
    problem = folder_problem(path)
    if problem is not None:
        cure = f"chown {os.geteuid()} {path}, or another journal.path that {user} may write"
        yield wrong(what, problem, cure)
        return
    problem = filesystem_problem(path)
    if problem is not None:
        text, _, cure = problem.rpartition("; ")
        yield wrong(what, text, f"{cure} for journal.path")
        return
    holder = holder_of(path)
    if holder is not None and service != "ours":
        yield wrong(
            what,
            f"in use by {holder}, and no service of this configuration answers at "
            f"{config.admin.listen}",
            "stop that process, or give this bridge another journal.path",
        )
        return
    yield from _room(config, what, "in use by the running service" if holder else "can be written")
    if holder is not None or path.is_dir():
        yield from _forgotten(config, what)


def _room(config: Config, what: str, found: str) -> Iterator[Finding]:
    path, wanted = config.journal.path, config.journal.max_size
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    disk = os.statvfs(existing)
    free = disk.f_bavail * disk.f_frsize
    used = 0
    if path.is_dir():
        for file in path.rglob("*"):
            with suppress(OSError):  # gone meanwhile
                used += file.lstat().st_blocks * 512
    left = f"{_mib(free)} free"
    if free + used < wanted:
        yield odd(
            what,
            f"{found}, but {left} is less than journal.max_size ({_mib(wanted)}): the disk is full "
            "before the journal is",
            f"set journal.max_size to {max((free + used) * 9 // 10 // 2**20, 1)}MiB or less, or "
            "give it a larger disk",
        )
    else:
        yield fine(what, f"{found}, {left}")


def _forgotten(config: Config, what: str) -> Iterator[Finding]:
    """Tell of sinks that the journal keeps events for and the configuration has no longer."""
    with suppress(BridgeError, OSError):  # there is none yet
        for sink in overview(config.journal.path).sinks:
            pending = sum(account.pending for account in sink.accounts)
            if sink.sink not in config.sinks and pending:
                yield odd(
                    what,
                    f"{counted(pending, 'event')} wait for the sink {sink.sink}, which is in the "
                    "configuration no longer: the next start or reload discards them",
                    f"keep sinks.{sink.sink} until they are delivered (a renamed sink is a new "
                    "one)",
                )


def _admin(config: Config, service: str | None) -> Finding:
    what = f"admin port {config.admin.listen}"
    if service == "ours":
        return fine(what, "the running service answers")
    try:
        for each in listen(config.admin.host, config.admin.port):
            each.close()
    except BridgeError as error:
        cause = error.__cause__
        code = cause.errno if isinstance(cause, OSError) else None
        port = config.admin.port
        if code == errno.EADDRINUSE:
            by = "another program" if service is None else "another service or program"
            return wrong(
                what,
                f"taken by {by}",
                f"ss -ltnp 'sport = :{port}' names it; stop it, or set another admin.listen",
            )
        if code in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return wrong(
                what,
                "this machine has no such address",
                f"set admin.listen to 0.0.0.0:{port}, or to an address that `ip addr` shows",
            )
        if code in {errno.EACCES, errno.EPERM}:
            return wrong(what, said(error), "set admin.listen to a port from 1024 on, such as 9464")
        return wrong(what, said(error), f"set admin.listen to 127.0.0.1:{port} or 0.0.0.0:{port}")
    return fine(what, "free")


def _mib(size: int) -> str:
    return f"{size // 2**20:,} MiB"
