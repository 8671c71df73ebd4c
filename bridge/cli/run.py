"""`run`: the service, until a signal ends it."""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import threading

import structlog

from bridge.admin.recent import Recent
from bridge.admin.server import AdminServer
from bridge.cli import logs
from bridge.cli.arenas import limit_arenas
from bridge.cli.configuration import hide, load, load_again
from bridge.cli.lasting import Lasting
from bridge.cli.main import OK, RUNTIME
from bridge.cli.signals import Signals
from bridge.config import Config, find_file
from bridge.errors import BridgeError
from bridge.loop import Deadline
from bridge.supervisor import Control, Following, Supervisor

log = structlog.get_logger()

# How often the main thread looks whether the others are still there.
_WATCHDOG_SECONDS = 1.0
# The part of the grace period that is kept for an exit which nobody can hold up.
_EXIT_SHARE, _EXIT_SECONDS = 0.2, 0.5


def run(arguments: argparse.Namespace, signals: Signals) -> int:
    """Run until SIGTERM or SIGINT, then drain; SIGHUP reloads, and with `--watch` a change does.

    What could not be delivered waits in the journal.
    """
    limit_arenas()
    path = find_file(arguments.config)
    following = Following(path)
    following.note()
    config = load(path)
    instance = "" if config.instance == "default" else config.instance
    recent = Recent()
    shown = logs.configure(config.log.level, config.log.format, instance, hide, recent)
    supervisor = Supervisor(config)

    def reload() -> None:
        following.note()
        config, digest = load_again(path)
        tls = _tls(config)  # before anything is applied, as it may not be possible
        supervisor.reload(config, digest)
        admin.show(tls)
        shown.change(config.log.level, config.log.format)

    control = Control(supervisor, reload, signals.wake)
    # The port first: a second service on this machine must not touch the journal.
    admin = AdminServer(
        supervisor,
        config.admin.host,
        config.admin.port,
        extra=[control.loop, following.loop],
        recent=recent,
        reload=control.reload,
        hide=hide,
        tls=_tls(config),
    )
    signals.idle = False
    admin.start()
    control.start()
    if arguments.watch:
        following.start(control.reload)
    code = _watch(signals, control, admin)
    following.loop.stop()
    _stop(signals, supervisor, control, supervisor.grace, code)
    admin.stop()
    if control.failure is not None:
        raise control.failure
    return code


def _tls(config: Config) -> ssl.SSLContext | None:
    """Return what the admin endpoint takes connections with.

    Raises:
        BridgeError: a file has changed since the configuration was read, and cannot be used.
    """
    try:
        return None if config.admin.tls is None else config.admin.tls.server_context()
    except ValueError as error:
        raise BridgeError(f"admin.tls: {error}") from None


def _watch(signals: Signals, control: Control, admin: AdminServer) -> int:
    """Wait for the end, and return the exit code that belongs to its cause."""
    lasting = Lasting()
    while not signals.stop and control.failure is None:
        signals.wait(_WATCHDOG_SECONDS)
        if signals.take_reload():
            control.reload()
        dead = admin.dead_loops()
        if dead:
            log.critical("thread_gone", loops=dead)
            return RUNTIME
        lasting.look()
    return OK


def _stop(
    signals: Signals, supervisor: Supervisor, control: Control, grace: float, code: int
) -> None:
    """Drain and stop; whatever hangs is left behind once the grace period is over."""
    deadline = Deadline(grace - min(_EXIT_SECONDS, grace * _EXIT_SHARE) / 2)
    stopped = threading.Event()
    drained = False

    def stop() -> None:
        nonlocal drained
        drained = supervisor.stop(grace - min(_EXIT_SECONDS, grace * _EXIT_SHARE))
        stopped.set()
        signals.wake()

    control.stop()
    threading.Thread(target=stop, name="stop", daemon=True).start()
    while not stopped.is_set() and not deadline.passed:
        signals.wait(deadline.left)
    if stopped.is_set() and (drained or control.failure is not None):
        return
    if not stopped.is_set():
        log.error("stop_cut_short", cause="something hangs; what is left waits in the journal")
    if control.failure is not None:
        print(f"kinetica-bridge: {hide(str(control.failure))}", file=sys.stderr)
        code = RUNTIME
    # A thread that hangs in a destination or on the disk would hold up an orderly exit.
    os._exit(code)
