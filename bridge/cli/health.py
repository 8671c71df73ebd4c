"""`health`: is the service on this machine alive; made for container health checks."""

from __future__ import annotations

import argparse
import sys
from http.client import HTTPException

from bridge.cli.connection import connect_unverified
from bridge.cli.main import OK, RUNTIME
from bridge.config import Admin, find_file, load_address
from bridge.errors import cause_of

_TIMEOUT = 3.0


def run(arguments: argparse.Namespace) -> int:
    """Ask `/livez`; 0 if it answers 200, else 1."""
    # What else is wrong with a file that was changed is no reason to end a service that is alive.
    admin, tls = load_address(find_file(arguments.config))
    host = admin.reachable_host
    try:
        status = _ask(admin, tls=tls)
    except (OSError, HTTPException) as error:
        try:
            # Until a reload has taken the file over, it says another scheme than is spoken.
            status = _ask(admin, tls=not tls)
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
