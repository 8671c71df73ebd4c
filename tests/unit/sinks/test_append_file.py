"""One file of lines, and what of it stays in the page cache."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from bridge.sinks.append_file import AppendFile
from bridge.sinks.torn import Marked

LINE = memoryview(b'{"id":"1"}\n')


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The stretches that the kernel was told to forget: where each begins, and its end."""
    found: list[tuple[int, int]] = []

    def advise(_: int, begin: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        found.append((begin, begin + size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return found


def write(file: AppendFile, lines: int) -> int:
    """Append so many lines, each synced; return where they end."""
    for _ in range(lines):
        file.append([LINE])
        file.sync()
    return Path(file.path).stat().st_size


def test_what_lies_far_behind_leaves_the_page_cache(
    tmp_path: Path, given_back: list[tuple[int, int]]
) -> None:
    """Each byte once, up to what is kept for those who follow the file; not what stood there."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(bytes(LINE) * 100)
    file = AppendFile(path, Marked(b'{"id":"'), keep_cached=400)

    size = write(file, 200)
    file.close()

    assert given_back[0][0] == 100 * len(LINE)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(given_back))
    assert size - 400 - 400 // 8 - len(LINE) < given_back[-1][1] <= size - 400
    assert len(given_back) < 50


def test_a_file_that_somebody_cut_is_followed_from_its_new_end(
    tmp_path: Path, given_back: list[tuple[int, int]]
) -> None:
    """As a rotation by copying does."""
    file = AppendFile(tmp_path / "out.jsonl", Marked(b'{"id":"'), keep_cached=400)
    write(file, 200)
    os.truncate(file.path, 0)
    del given_back[:]

    size = write(file, 200)
    file.close()

    assert given_back[0][0] < 100
    assert given_back[-1][1] <= size - 400


def test_a_file_system_that_takes_no_advice_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a courtesy to others."""

    def refuse(*_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    file = AppendFile(tmp_path / "out.jsonl", Marked(b'{"id":"'), keep_cached=40)

    assert write(file, 20) == 20 * len(LINE)
    file.close()
