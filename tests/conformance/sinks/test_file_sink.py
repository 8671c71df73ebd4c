"""The file sink keeps the contract, with one file for all tables and with a file for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import SinkConformance


class TestOneFile(SinkConformance):
    order = "all"
    largest_value = 4 * 2**20

    @pytest.fixture(autouse=True)
    def destination(self, tmp_path: Path) -> None:
        self.path = tmp_path / "out" / "events.jsonl"

    def make_sink(self) -> FileSink:
        return FileSink(FileSettings(type="file", path=str(self.path)))

    def read_back(self) -> list[bytes]:
        data = self.path.read_bytes() if self.path.exists() else b""
        assert not data or data.endswith(b"\n")
        return data.split(b"\n")[:-1]


class TestFileOfEachTable(SinkConformance):
    order = "table"

    @pytest.fixture(autouse=True)
    def destination(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "out"

    def make_sink(self) -> FileSink:
        return FileSink(FileSettings(type="file", path=f"{self.folder}/{{table}}.jsonl"))

    def read_back(self) -> list[bytes]:
        files = sorted(self.folder.iterdir()) if self.folder.exists() else []
        return [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]


class TestFileOfEachDay(TestFileOfEachTable):
    """With the day in its name, and a folder for each schema."""

    def make_sink(self) -> FileSink:
        path = f"{self.folder}/{{schema}}/{{date}}-{{name}}.jsonl"
        return FileSink(FileSettings(type="file", path=path))

    def read_back(self) -> list[bytes]:
        files = sorted(self.folder.rglob("*.jsonl"))
        return [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]
