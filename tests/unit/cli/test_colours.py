"""Colours in the log."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bridge.cli.logs import LogStream, coloured


@pytest.fixture
def terminal() -> Iterator[LogStream]:
    ours, theirs = os.openpty()
    yield LogStream(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_terminal_has_colours_unless_no_color_says_otherwise(
    terminal: LogStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set to anything but nothing."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured(terminal)
    monkeypatch.setenv("NO_COLOR", "")
    assert coloured(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(terminal)
