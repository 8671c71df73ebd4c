"""What all benchmarks share: paired alternating runs, medians, ratios, a plain table.

Contenders take turns within every round, each round beginning with another one, so that a slow
moment of the machine strikes all of them. A ratio is the median of the rounds' own ratios. One
contender is measured twice, under two names: by how much the two differ is noise (A/A).
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent


def alternate(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Run every contender once a round; return the results by contender, in order of rounds."""
    names = list(contenders)
    results: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            results[name].append(contenders[name]())
    return results


def median(results: Sequence[T], value: Callable[[T], float]) -> float:
    """Return the median of a value over the rounds."""
    return statistics.median(map(value, results))


def ratio(results: Sequence[T], base: Sequence[T], value: Callable[[T], float]) -> float:
    """Return the median, over the rounds, of a value divided by that of the base."""
    return statistics.median(
        value(mine) / value(its) for mine, its in zip(results, base, strict=True)
    )


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of text; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (titles, *rows)
    )


def machine(*packages: str) -> str:
    """Describe what is measured on: commit, machine, its load just now, versions."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return "\n".join(
        (
            f"commit {_commit()}, {platform.system()} {platform.machine()}, {load}",
            f"{python}, {versions}" if versions else python,
        )
    )


def disk(folder: Path) -> str:
    """Name the file system of a folder; an fsync on one in memory costs nothing."""
    command = ["df", "-PT", str(folder)] if sys.platform == "linux" else ["df", "-P", str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    words = found.stdout.splitlines()[-1].split() if found.returncode == 0 else []
    return f"{folder} on {words[1] if len(words) == 7 else words[0] if words else 'unknown'}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{head} with changes" if git("status", "--porcelain", "--", "bridge", "csrc") else head
