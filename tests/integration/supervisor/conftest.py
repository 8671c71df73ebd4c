"""An emulated cluster and its database, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services.rig import Database

from kinetica_emulator import Emulator


@pytest.fixture
def cluster() -> Iterator[Emulator]:
    """One emulated cluster."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def database(cluster: Emulator) -> Iterator[Database]:
    """A program that changes tables on the cluster."""
    database = Database(cluster)
    yield database
    database.close()
