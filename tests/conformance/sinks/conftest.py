"""The suite drives sinks with batches of slices, until its own driver makes them."""

from __future__ import annotations

import pytest
from services.batches import drive

from bridge.testing import conformance


@pytest.fixture(autouse=True)
def batches_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the driver of the sinks' own tests."""
    monkeypatch.setattr(conformance, "drive", drive)
