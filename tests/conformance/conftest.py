"""The vendor's client on an emulated cluster."""

from __future__ import annotations

from collections.abc import Iterator

import gpudb
import pytest

from kinetica_emulator import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def db(emulator: Emulator) -> gpudb.GPUdb:
    return gpudb.GPUdb(host=emulator.url)
