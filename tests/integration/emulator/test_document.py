"""The emulator's page names every switch there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from kinetica_emulator import Emulator, Traits
from kinetica_emulator.controls import NAMES

PAGE = Path(__file__).parents[3] / "docs" / "emulator.md"


def test_every_switch_has_a_line() -> None:
    """Methods that can be asked over HTTP, and traits; what the page names besides exists."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line[:3] == "| `"]
    named = {name for cell in rows for name in re.findall(r"`(\w+)", cell)}
    traits = {field.name for field in dataclasses.fields(Traits)}

    assert named >= {*NAMES, *traits} - {"heal"}
    assert {name for name in named - traits if not hasattr(Emulator, name)} <= {"ki_objects"}
    assert all(callable(getattr(Emulator, name)) for name in NAMES)
