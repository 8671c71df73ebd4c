"""Examples in docstrings are true."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import bridge
import kinetica_emulator

MODULES = sorted(
    module.name
    for package in (bridge, kinetica_emulator)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    """Run as they stand, in the module's own names."""
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples() -> None:
    """The test above finds some: it is not vacuous."""
    found = sum(
        bool(test.examples)
        for name in MODULES
        for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name))
    )
    assert found >= 5
