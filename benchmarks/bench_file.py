"""How many records a second get to a file, 1,000 a message and one, for how much CPU time?

The bridge and the vendor's client with its shortest callback, by turns, from the first
publication to the last record in the file; the bridge with its journal and file synced.

    python -m benchmarks.bench_file [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness, stage
from benchmarks.harness import Options, Row
from benchmarks.stage import Measured, Run, Stage

_RECORDS = {1000: 1_000_000, 1: 500_000}
_TODAY = {1000: ("5.3", "0.75"), 1: ("12", "1.0")}
_TARGET = {1000: ("1.2", "4"), 1: ("2", "4")}


def rows(options: Options) -> list[Row]:
    found: list[Row] = []
    with Stage(options) as on:
        for per_message in _RECORDS:
            print(f"\nto a file, {per_message:,} a message", flush=True)
            results = measure(on, per_message)
            stage.report(results)
            found += _rows(per_message, results)
    return found


def measure(on: Stage, per_message: int) -> dict[str, list[Run]]:
    """Run the contenders by turns."""
    records = on.options.scaled(_RECORDS[per_message])

    def run(bridge: bool) -> Run:
        arrived = on.file()

        def start(own: Path, table: str) -> Measured:
            if bridge:
                return on.bridge(own, table, {"type": "file", "path": str(arrived.path)})
            return on.vendor(table, "file", arrived.path)

        return on.run(arrived, start, records=records, per_message=per_message)

    contenders = {
        "bridge": lambda: run(True),
        "bridge again": lambda: run(True),
        "vendor": lambda: run(False),
    }
    return harness.alternate(contenders, on.options.runs)


def _rows(per_message: int, results: dict[str, list[Run]]) -> Sequence[Row]:
    bridge, again, vendor = (results[name] for name in ("bridge", "bridge again", "vendor"))
    name = f"to a file, {per_message:,} a message"
    faults = stage.faults([*bridge, *again])
    return (
        Row(
            f"{name}: CPU s per million",
            _TODAY[per_message][0],
            _TARGET[per_message][0],
            f"{stage.cpu(bridge):.2f} (vendor {stage.cpu(vendor):.1f}){faults}",
            stage.cpu_ratio(bridge, vendor),
            stage.cpu_ratio(again, bridge),
        ),
        Row(
            f"{name}: records/s to the vendor's",
            _TODAY[per_message][1],
            _TARGET[per_message][1],
            f"{stage.rate(bridge):,.0f} (vendor {stage.rate(vendor):,.0f}){faults}",
            stage.rates_ratio(bridge, vendor),
            stage.rates_ratio(again, bridge),
        ),
    )


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
