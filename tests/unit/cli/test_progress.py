"""A line that is written over on a terminal, and nothing anywhere else."""

from __future__ import annotations

import sys

import pytest

from bridge.cli.progress import Progress


def test_a_terminal_sees_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In rows and per cent where it is known how many there are; at the end it is gone."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("4f1c: reading") as progress:
        progress.show(0, 0)
        progress.show(1_500, 3_000)
        progress.show(9_000, 3_000)

    assert capsys.readouterr().err.split("\r\x1b[K") == [
        "",
        "4f1c: reading: 0 rows",
        "4f1c: reading: 1,500 of 3,000 rows, 50 %",
        "4f1c: reading: 9,000 of 3,000 rows, 100 %",
        "",
    ]


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A log of a script has no use for it."""
    with Progress("reading") as progress:
        progress.show(1, 2)

    assert capsys.readouterr().err == ""
