"""An emulator in a process of its own, and the vendor's client to fill it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import gpudb
import pytest
from services.disk_fault import DiskMissing, mounted
from services.kinetica import Program
from services.process import EmulatorProcess


@pytest.fixture
def kinetica() -> Iterator[EmulatorProcess]:
    """A cluster: an emulator in a process of its own."""
    with EmulatorProcess() as emulator:
        yield emulator


@pytest.fixture
def db(kinetica: EmulatorProcess) -> gpudb.GPUdb:
    """The vendor's client, connected."""
    return gpudb.GPUdb(host=kinetica.url)


@pytest.fixture
def program(kinetica: EmulatorProcess) -> Program:
    """A program that writes into that cluster's tables."""
    return Program(kinetica.url)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MiB, where one can be mounted."""
    try:
        disk = contextlib.ExitStack()
        place = disk.enter_context(mounted(tmp_path / "disk", "12m"))
    except DiskMissing as error:
        pytest.skip(str(error))
    with disk:
        yield place
