"""`demo`: an emulated Kinetica, a weather feed into it, and the bridge reading from it.

All in one process, on free ports, in a folder of its own. Events go to a file and to this
terminal.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

import yaml

from bridge.admin.server import AdminServer
from bridge.cli import logs
from bridge.cli.listing import counted
from bridge.cli.main import OK
from bridge.cli.signals import Signals
from bridge.config import load
from bridge.supervisor import Supervisor
from kinetica_emulator import Emulator
from kinetica_emulator.weather import TABLE, WeatherFeed

_GRACE = 5.0


def run(arguments: argparse.Namespace, signals: Signals) -> int:
    """Run until Ctrl-C, or for `--seconds`."""
    logs.configure("warning", None)
    signals.give_back(signal.SIGHUP)
    signals.idle = False
    folder = Path(tempfile.mkdtemp(prefix="kinetica-bridge-demo-"))
    with Emulator() as emulator, WeatherFeed(emulator.url) as feed:
        config_file = _write_config(folder, emulator)
        supervisor = Supervisor(load(config_file))
        admin = AdminServer(supervisor, "127.0.0.1", 0)
        admin.start()
        supervisor.start()
        _say(f"""
            kinetica-bridge demo: rows inserted into {TABLE} arrive here

              Kinetica (emulated)  {emulator.url}
              configuration        {config_file}
              events, a line each  {folder / "out" / f"{TABLE}.jsonl"}
              status page          {admin.url}
              metrics              {admin.url}/metrics
              health               {admin.url}/readyz

            {_ending(arguments.seconds)}
        """)
        feed.start()
        signals.wait_for_stop(arguments.seconds)
        feed.stop()
        drained = supervisor.stop(_GRACE)
        admin.stop()
    _say(f"""
            {counted(feed.rows, "row")} inserted, {counted(feed.updates, "update")}, \
{counted(feed.deletes, "delete")};
            {"all of it was delivered" if drained else "not all of it could be delivered"}.
            The events are in {folder / "out" / f"{TABLE}.jsonl"}
    """)
    return OK


def _write_config(folder: Path, emulator: Emulator) -> Path:
    path = folder / "bridge.yaml"
    config = {
        "kinetica": {"urls": [emulator.url], "probe_interval": "1s"},
        "journal": {"path": str(folder / "journal"), "max_size": "256MiB"},
        "tables": [{"name": TABLE}],
        "sinks": {
            "terminal": {"type": "stdout"},
            "file": {"type": "file", "path": str(folder / "out" / "{table}.jsonl")},
        },
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _ending(seconds: float | None) -> str:
    return "Ctrl-C ends it." if seconds is None else f"It ends by itself after {seconds:g} s."


def _say(text: str) -> None:
    lines = [line.removeprefix(" " * 12) for line in text.strip("\n").splitlines()]
    print("\n".join(lines).rstrip() + "\n", file=sys.stderr, flush=True)
