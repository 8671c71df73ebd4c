"""The stdout sink keeps the contract."""

from __future__ import annotations

import pytest

from bridge.sinks.stdout import StdoutSettings, StdoutSink
from bridge.testing import SinkConformance


class TestStdout(SinkConformance):
    order = "all"
    largest_value = 4 * 2**20

    @pytest.fixture(autouse=True)
    def destination(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self.captured = capfdbinary
        self.seen = b""

    def make_sink(self) -> StdoutSink:
        return StdoutSink(StdoutSettings(type="stdout"))

    def read_back(self) -> list[bytes]:
        self.seen += self.captured.readouterr().out
        return self.seen.split(b"\n")[:-1]
