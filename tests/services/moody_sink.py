"""A plug-in for the service under test: it misbehaves while a file tells it to.

It is no part of a test's process: `install` puts it, with its entry point, into a folder for
PYTHONPATH, as `pip install` would.
"""

from __future__ import annotations

from pathlib import Path

_MODULE = '''
import asyncio
import json
import pathlib
from typing import Literal

from bridge.sinks import Sink, SinkSettings


class MoodySettings(SinkSettings):
    type: Literal["moody"]
    folder: pathlib.Path


class MoodySink(Sink):
    """Appends to a file, unless a file in its folder is there."""

    Settings = MoodySettings

    def __init__(self, settings):
        self.folder = settings.folder
        if (self.folder / "raise_in_constructor").exists():
            raise RuntimeError("moody: not built today")

    def deliver(self, batch):
        if (self.folder / "cancel").exists():
            raise asyncio.CancelledError("moody: cancelled")
        if (self.folder / "raise").exists():
            raise ZeroDivisionError("moody: a bug of mine")
        with (self.folder / "moody.jsonl").open("ab") as file:
            file.write(b"".join(event.value + b"\\n" for event in batch))
'''

_METADATA = "Metadata-Version: 2.1\nName: moody-sink\nVersion: 1.0\n"
_ENTRY_POINTS = "[kinetica_bridge.sinks]\nmoody = moody_sink:MoodySink\n"


def install(folder: Path) -> dict[str, str]:
    """Install the plug-in below a folder; return the environment that finds it."""
    site = folder / "site"
    info = site / "moody_sink-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "moody_sink.py").write_text(_MODULE)
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    return {"PYTHONPATH": str(site)}
