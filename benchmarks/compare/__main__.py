"""All troubles, one after the other, as a Markdown table: `make compare`.

python -m benchmarks.compare [--only NAME ...] [--quick] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.compare.measure import Result
from benchmarks.compare.report import markdown
from benchmarks.compare.scenarios import SCENARIOS, Scenario
from benchmarks.compare.stage import Stage
from benchmarks.harness import machine

PATIENCE_SECONDS = 25.0
QUICK_SECONDS = 12.0


def play(scenario: Scenario, folder: Path, patience: float) -> list[Result]:
    """Play one trouble, with all contenders at once or in turns."""
    groups = [scenario.settings.contenders]
    if scenario.apart:
        groups = [(name,) for name in scenario.settings.contenders]
    results: list[Result] = []
    for number, names in enumerate(groups):
        settings = replace(scenario.settings, contenders=names)
        with Stage(folder / str(number), settings, patience) as stage:
            results += scenario.play(stage)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="The vendor's monitor client, ours and the service in the same trouble.",
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="watch those that are deaf for less")
    parser.add_argument("--keep", type=Path, help="a folder for what the contenders wrote")
    options = parser.parse_args(arguments)
    patience = QUICK_SECONDS if options.quick else PATIENCE_SECONDS
    began = time.monotonic()
    done: list[tuple[Scenario, list[Result]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for scenario in SCENARIOS:
            if scenario.name in options.only:
                print(f"{scenario.name}…", end=" ", file=sys.stderr, flush=True)
                started = time.monotonic()
                done.append((scenario, play(scenario, folder / scenario.name, patience)))
                print(f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(machine("gpudb", "pyzmq"))
    print()
    print(markdown(done))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes in all", file=sys.stderr)


if __name__ == "__main__":
    main()
