"""What the programs like the vendor's examples have in common: their arguments, and their end."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import gpudb

HUNG = 75
CONSTRUCTION_SECONDS = 5.0


def construct(monitor: Any, client: Any) -> Any:
    """Return a client as the arguments say; ends the program where the vendor's hangs."""
    _, url, monitor_port, table = sys.argv[1:]
    options = monitor.Options({"monitor_port": int(monitor_port)})
    made: list[Any] = []

    def make() -> None:
        made.append(client(gpudb.GPUdb(host=url), table, options))

    constructing = threading.Thread(target=make, daemon=True)
    constructing.start()
    constructing.join(CONSTRUCTION_SECONDS)
    if not made:
        os._exit(HUNG)
    return made[0]


def say(line: str) -> None:
    """Print a line at once and whole, whatever another thread writes to stderr meanwhile."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def wait_for_the_end() -> None:
    """Say that it monitors, and wait until it is told to end."""
    say("monitoring")
    sys.stdin.readline()


def leave() -> None:
    """End the program; the vendor's threads may hang."""
    say("ended")
    os._exit(0)
