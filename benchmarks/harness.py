"""What all benchmarks share: options, paired alternating runs, medians, ratios, the rows.

Contenders take turns within every round, each round beginning with another one, so that a slow
moment of the machine strikes all of them. A ratio is the median of the rounds' own ratios. One
contender is measured twice, under two names: by how much the two differ is noise (A/A).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
TITLES = ("row", "today", "to reach", "measured", "ratio", "A/A")
_PACKAGES = ("pyzmq", "gpudb", "confluent-kafka", "fastavro", "orjson")


@dataclass(frozen=True, slots=True)
class Row:
    """One answer.

    Attributes:
        name: what was asked.
        today: what the code did that the issue began with.
        target: what is to be reached.
        measured: what was measured now; losses and disorder are said here.
        ratio: to whom or what the question compares with.
        noise: A/A: what was measured again, divided by what was measured.
    """

    name: str
    today: str
    target: str
    measured: str
    ratio: str = ""
    noise: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Its cells, in the order of the titles."""
        return (self.name, self.today, self.target, self.measured, self.ratio, self.noise)


@dataclass(frozen=True, slots=True)
class Options:
    """What every benchmark takes.

    Attributes:
        runs: of each contender.
        scale: by which records, tables and seconds are multiplied.
        folder: where journals and files go.
        tree: whose code is measured.
        gib: size of the backlog.
        markdown: a file for the rows, besides the terminal.
    """

    runs: int
    scale: float
    folder: Path
    tree: Path
    gib: float
    markdown: Path | None

    def scaled(self, number: int) -> int:
        """Return so many records, tables or seconds as are wanted in place of these."""
        return max(int(number * self.scale), 1)


def options(description: str, arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=3, help="runs of each contender")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: a tenth of the work")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--tree", type=Path, default=ROOT, help="whose bridge is measured")
    parser.add_argument("--gib", type=float, default=2.0, help="size of the backlog")
    parser.add_argument("--markdown", type=Path, help="write the rows to this file too")
    found = vars(parser.parse_args(arguments))
    return Options(**found | {"tree": found["tree"].resolve(), "folder": found["folder"].resolve()})


def show(chosen: Options, rows: Callable[[Options], Sequence[Row]], title: str) -> None:
    """Print machine and commit, answer, and print the rows; write them where they are wanted."""
    heading = f"{machine(*_PACKAGES, tree=chosen.tree)}\n{_terms(chosen)}"
    print(f"{heading}\n\n== {title}", flush=True)
    found = rows(chosen)
    print("\n" + table(TITLES, [row.cells for row in found]), flush=True)
    if chosen.markdown is not None:
        lines = [TITLES, ["---"] * len(TITLES), *(row.cells for row in found)]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        chosen.markdown.write_text(f"{heading}\n\n{text}\n")


def _terms(chosen: Options) -> str:
    return (
        f"journal and files in {disk(chosen.folder)}; medians of {chosen.runs} runs, "
        f"{chosen.scale:g} of the full size"
    )


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


def difference(results: Sequence[T], base: Sequence[T], value: Callable[[T], float]) -> float:
    """Return the median, over the rounds, of a value less that of the base."""
    return statistics.median(
        value(mine) - value(its) for mine, its in zip(results, base, strict=True)
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


def machine(*packages: str, tree: Path = ROOT) -> str:
    """Describe what is measured on: commit, machine, its load just now, versions."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return "\n".join(
        (
            f"commit {_commit(tree)}, {platform.system()} {platform.machine()}, {load}",
            f"{python}, {versions}" if versions else python,
        )
    )


def disk(folder: Path) -> str:
    """Name the file system of a folder; an fsync on one in memory costs nothing."""
    command = ["df", "-PT", str(folder)] if sys.platform == "linux" else ["df", "-P", str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    words = found.stdout.splitlines()[-1].split() if found.returncode == 0 else []
    return f"{folder} on {words[1] if len(words) == 7 else words[0] if words else 'unknown'}"


def _commit(tree: Path) -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tree), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{head} with changes" if git("status", "--porcelain", "--", "bridge", "csrc") else head
