"""All that is to be shown, in one table: `make bench`, or `python -m benchmarks`."""

from __future__ import annotations

import time
import traceback

from benchmarks import (
    bench_admin,
    bench_backlog,
    bench_burst,
    bench_file,
    bench_formats,
    bench_idle,
    bench_kafka,
    bench_library,
    bench_receive,
    bench_transcode,
    bench_trickle,
    harness,
)
from benchmarks.harness import Options, Row

_BENCHES = (
    bench_file,
    bench_kafka,
    bench_formats,
    bench_trickle,
    bench_receive,
    bench_transcode,
    bench_library,
    bench_burst,
    bench_backlog,
    bench_idle,
    bench_admin,
)


def rows(options: Options) -> list[Row]:
    found: list[Row] = []
    for bench in _BENCHES:
        print(f"\n== {(bench.__doc__ or '').splitlines()[0]}", flush=True)
        begun = time.monotonic()
        try:
            found += bench.rows(options)
        except Exception as error:  # noqa: BLE001 (what the others measured is shown all the same)
            traceback.print_exc()
            name = bench.__name__.removeprefix("benchmarks.")
            found.append(Row(name, "", "", f"failed: {type(error).__name__}"))
        print(f"({(time.monotonic() - begun) / 60:.1f} minutes)", flush=True)
    return found


if __name__ == "__main__":
    harness.show(harness.options(__doc__ or ""), rows, "all")
