"""The page for authors of sinks, followed step by step: its files, its kit, its configuration."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from services.process import BridgeProcess, EmulatorProcess, wait_until

from bridge.cli.main import OK

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-a-sink.md").read_text()
FILES = ("sqlite_sink.py", "pyproject.toml", "test_sqlite_sink.py")


def shown(name: str) -> str:
    """The block of code that comes next where a file is first named."""
    return (
        PAGE.partition(f"`{name}`")[2].partition("\n```")[2].partition("\n")[2].partition("```")[0]
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder that the page has its reader make, installed as pip would install it."""
    folder = tmp_path / "sqlite_sink"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(shown(name))
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in of.items())
        for group, of in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    return folder


def test_the_page_shows_the_example() -> None:
    """Whoever copies from either has the same files."""
    for name in FILES:
        assert shown(name) == (ROOT / "examples" / "sqlite_sink" / name).read_text(), name


def test_the_pages_sink_passes_the_kit(package: Path) -> None:
    """`pytest sqlite_sink`, as it stands there."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", package.name],
        cwd=package.parent,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == OK, run.stdout + run.stderr
    assert "passed" in run.stdout


def test_the_pages_sink_delivers(package: Path, tmp_path: Path) -> None:
    """Its configuration finds the sink by its type, and rows come to be in the database."""
    config = yaml.safe_load(shown("bridge.yaml"))
    database = tmp_path / config["sinks"]["database"]["path"]
    with EmulatorProcess("--weather") as kinetica:
        config["kinetica"] = {"urls": [kinetica.url], "monitor_port": kinetica.monitor_port}
        config["journal"]["path"] = str(tmp_path / "journal")
        config["sinks"]["database"]["path"] = str(database)
        with BridgeProcess(tmp_path, config, {"PYTHONPATH": str(package)}) as bridge:
            bridge.wait_live()
            wait_until(lambda: bridge.metric("sink_delivered_events_total") > 0, "rows arrive")
            bridge.terminate()

    stored = sqlite3.connect(database)
    kinds = {json.loads(value)["type"] for (value,) in stored.execute("SELECT value FROM events")}
    stored.close()
    assert "insert" in kinds
