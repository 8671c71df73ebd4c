"""All benchmarks, one after the other: `make bench`, or `python -m benchmarks`."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Sequence

# What to run, and how so that all of it takes less than ten minutes.
BENCHES = (
    ("benchmarks.bench_codec", ()),
    ("benchmarks.bench_journal", ("--runs", "3", "--seconds", "2")),
    ("benchmarks.bench_end_to_end", ()),
    ("benchmarks.bench_latency", ()),
    ("benchmarks.bench_tables", ("--runs", "1")),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All benchmarks.")
    parser.add_argument("--records", type=int, default=300_000, help="end to end: records a run")
    parser.add_argument("--runs", type=int, default=3, help="end to end: runs of each contender")
    options = parser.parse_args(arguments)
    chosen = {
        "benchmarks.bench_end_to_end": (
            "--records",
            str(options.records),
            "--runs",
            str(options.runs),
        ),
        "benchmarks.bench_latency": ("--runs", str(options.runs)),
    }
    began = time.monotonic()
    for name, shipped in BENCHES:
        bench = importlib.import_module(name)
        question = (bench.__doc__ or name).splitlines()[0]
        print(f"\n== {question}\n", flush=True)
        bench.main(list(chosen.get(name, shipped)))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
