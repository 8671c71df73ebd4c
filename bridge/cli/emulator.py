"""`emulator`: a stand-in Kinetica in a process of its own, until a signal ends it."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from contextlib import ExitStack

from bridge.cli import logs
from bridge.cli.main import OK
from bridge.cli.signals import Signals
from kinetica_emulator import Emulator
from kinetica_emulator.weather import WeatherFeed


def run(arguments: argparse.Namespace, signals: Signals) -> int:
    """Start it, print one line of JSON that says where it listens, and wait."""
    logs.configure("info", None)
    signals.give_back(signal.SIGHUP)
    signals.idle = False
    emulator = Emulator(
        host=arguments.host,
        port=arguments.port,
        monitor_port=arguments.monitor_port,
        username=arguments.user,
        password=arguments.password,
    )
    with ExitStack() as running:
        running.enter_context(emulator)
        if arguments.weather:
            running.enter_context(WeatherFeed(emulator.url)).start()
        place = {"url": emulator.url, "monitor_port": emulator.monitor_port}
        with contextlib.suppress(BrokenPipeError):  # nobody wants to know
            print(json.dumps(place), flush=True)
        signals.wait_for_stop()
    return OK
