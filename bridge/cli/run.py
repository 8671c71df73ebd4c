"""`run`: the service, until a signal ends it."""

from __future__ import annotations

import argparse

from bridge.admin.server import AdminServer
from bridge.cli import logs
from bridge.cli.main import OK
from bridge.cli.signals import Shutdown
from bridge.config import find_file, load
from bridge.supervisor import Supervisor


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT, then drain. What could not be delivered waits in the journal."""
    config = load(find_file(arguments.config))
    logs.configure(config.log.level, config.log.format)
    shutdown = Shutdown()
    shutdown.install()
    supervisor = Supervisor(config)
    # The port first: a second service on this machine must not touch the journal.
    admin = AdminServer(supervisor, config.admin.host, config.admin.port)
    try:
        supervisor.start()
        admin.start()
        shutdown.wait()
        supervisor.stop(config.shutdown.grace)
    finally:
        admin.stop()
    return OK
