"""`run`: the service, until a signal ends it."""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import structlog

from bridge.admin.server import AdminServer
from bridge.cli import logs
from bridge.cli.main import OK
from bridge.cli.signals import Signals
from bridge.config import Config, find_file, load
from bridge.errors import ConfigurationError
from bridge.supervisor import Supervisor

log = structlog.get_logger()


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT, then drain; SIGHUP reloads.

    What could not be delivered waits in the journal.
    """
    path = find_file(arguments.config)
    config = load(path)
    logs.configure(config.log.level, config.log.format)
    signals = Signals()
    signals.install(reload=True)
    supervisor = Supervisor(config)
    # The port first: a second service on this machine must not touch the journal.
    admin = AdminServer(supervisor, config.admin.host, config.admin.port)
    admin.start()
    try:
        supervisor.start()
        _collect_seldom()
        while signals.wait():
            config = _reload(supervisor, path, config)
        supervisor.stop(config.shutdown.grace)
    finally:
        admin.stop()
    return OK


def _collect_seldom() -> None:
    # Events make no cycles and come by the million: looking for some cost a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


def _reload(supervisor: Supervisor, path: Path, present: Config) -> Config:
    """Take over the file as it is now; a bad one changes nothing."""
    try:
        config = load(path)
    except ConfigurationError as error:
        supervisor.reloads.successful = False
        log.error("reload_refused", problems=error.problems)
        return present
    supervisor.reload(config)
    supervisor.reloads.successful, supervisor.reloads.success_at = True, time.time()
    return config
