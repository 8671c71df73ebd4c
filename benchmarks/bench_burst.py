"""What is lost of 5,000,000 single-row messages in one burst, and how much memory does it take?

To a file, the publisher as fast as it can and its queue unlimited.

    python -m benchmarks.bench_burst [--scale F] [--tree PATH]
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import harness, stage
from benchmarks.harness import Options, Row
from benchmarks.stage import Measured, Stage

_RECORDS = 5_000_000


def rows(options: Options) -> list[Row]:
    records = options.scaled(_RECORDS)
    with Stage(options) as on:
        arrived = on.file()

        def start(own: Path, table: str) -> Measured:
            return on.bridge(own, table, {"type": "file", "path": str(arrived.path)})

        run = on.run(arrived, start, records=records, per_message=1)
    stage.report({"bridge": [run]})
    name = f"{records:,} single-row messages in one burst"
    peak = run.usage.peak_bytes / 2**20
    return [
        Row(f"{name}: lost", "", "0", f"{run.lost:,}{stage.faults([run])}"),
        Row(f"{name}: peak RSS, MiB", "", "under 300", f"{peak:.0f}"),
    ]


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
