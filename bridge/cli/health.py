"""`health`: is the service on this machine alive; made for container health checks."""

from __future__ import annotations

import argparse
import sys
from http.client import HTTPException

from bridge.cli.configuration import load
from bridge.cli.connection import connect_unverified
from bridge.cli.main import OK, RUNTIME
from bridge.config import Admin, find_file
from bridge.errors import cause_of

_TIMEOUT = 3.0


def run(arguments: argparse.Namespace) -> int:
    """Ask `/livez`; 0 if it answers 200, else 1."""
    admin = load(find_file(arguments.config)).admin
    host = admin.reachable_host
    try:
        status = _ask(admin, tls=admin.tls is not None)
    except (OSError, HTTPException) as error:
        try:
            # Until a reload has taken the file over, it says another scheme than is spoken.
            status = _ask(admin, tls=admin.tls is None)
        except (OSError, HTTPException):
            print(f"no service at {host}:{admin.port}: {cause_of(error)}", file=sys.stderr)
            return RUNTIME
    if status != 200:
        print(f"the service at {host}:{admin.port} answers {status}", file=sys.stderr)
        return RUNTIME
    print("alive")
    return OK


def _ask(admin: Admin, *, tls: bool) -> int:
    # A certificate that is renewed or has run out is no reason to end a service that is alive.
    connection = connect_unverified(admin, _TIMEOUT, tls=tls)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    finally:
        connection.close()
