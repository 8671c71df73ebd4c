"""An emulator in a process of its own, and the vendor's client to fill it."""

from __future__ import annotations

from collections.abc import Iterator

import gpudb
import pytest
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
