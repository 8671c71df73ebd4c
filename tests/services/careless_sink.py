"""A plug-in for the service under test: its bug quotes its secret, which is a local variable too.

`install` puts it, with its entry point, into a folder for PYTHONPATH, as `pip install` would.
"""

from __future__ import annotations

from pathlib import Path

_MODULE = '''
from typing import Literal

from pydantic import SecretStr

from bridge.sinks import Sink, SinkSettings


class CarelessSettings(SinkSettings):
    type: Literal["careless"]
    api_key: SecretStr
    broken: Literal["always", "from_the_start", "place"] = "always"


class CarelessSink(Sink):
    """Delivers nothing."""

    Settings = CarelessSettings

    def __init__(self, settings):
        self.settings = settings
        if settings.broken == "from_the_start":
            self.deliver(None)

    def place_of(self, table):
        if self.settings.broken == "place":
            self.deliver(None)

    def check(self):
        self.deliver(None)

    def deliver(self, batch):
        api_key = self.settings.api_key.get_secret_value()
        request = {"Authorization": f"Token {api_key}"}
        raise RuntimeError(f"cannot send {request}")
'''


def install(folder: Path) -> dict[str, str]:
    """Install the plug-in below a folder; return the environment that finds it."""
    site = folder / "site"
    info = site / "careless_sink-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "careless_sink.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: careless-sink\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[kinetica_bridge.sinks]\ncareless = careless_sink:CarelessSink\n"
    )
    return {"PYTHONPATH": str(site)}
