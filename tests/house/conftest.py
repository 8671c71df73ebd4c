"""The documents, as every test of them wants them."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def documents() -> dict[str, str]:
    """Every document of the project: its path from the root, and its text."""
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "benchmarks")
    paths = [path for folder in folders for path in sorted(folder.glob("*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}
