"""How many decoded records a second does the library call back with, beside the vendor's client?

The same program on both, its callback counting and looking whether the ids come in order.

    python -m benchmarks.bench_library [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

from benchmarks import harness, stage
from benchmarks.destinations import Arrivals
from benchmarks.harness import Options, Row
from benchmarks.processes import ClientProcess, UsageMeter
from benchmarks.stage import Run, Stage

_RECORDS = {1000: 1_000_000, 1: 500_000}


def rows(options: Options) -> list[Row]:
    found: list[Row] = []
    with Stage(options) as on:
        for per_message in _RECORDS:
            name = f"library callbacks, decoded, {per_message:,} a message"
            print(f"\n{name}", flush=True)
            results = measure(on, per_message)
            stage.report(results)
            bridge, again, vendor = (results[who] for who in ("bridge", "bridge again", "vendor"))
            faults = stage.faults([*bridge, *again])
            found.append(
                Row(
                    f"{name}: records/s to the vendor's",
                    "",
                    "2",
                    f"{stage.rate(bridge):,.0f} (vendor {stage.rate(vendor):,.0f}){faults}",
                    stage.rates_ratio(bridge, vendor),
                    stage.rates_ratio(again, bridge),
                )
            )
    return found


def measure(on: Stage, per_message: int) -> dict[str, list[Run]]:
    """Run the contenders by turns."""
    records = on.options.scaled(_RECORDS[per_message])

    def bridge() -> Run:
        return _count(on, "bridge", records, per_message)

    def vendor() -> Run:
        return _count(on, "vendor", records, per_message)

    contenders = {"bridge": bridge, "bridge again": bridge, "vendor": vendor}
    return harness.alternate(contenders, on.options.runs)


def _count(on: Stage, whose: str, records: int, per_message: int) -> Run:
    table = on.table()
    tree = on.options.tree if whose == "bridge" else harness.ROOT
    with ClientProcess(whose, on.publisher, table, "count", records, tree=tree) as process:
        meter = UsageMeter(process.pid)
        published = on.publisher.tell(
            "publish", table=table, records=records, per_message=per_message
        )
        told = process.read()
        usage = meter.usage()
    arrivals = Arrivals(told["records"], 0, not told["misplaced"], 0, 0, float("nan"))
    return Run(
        records,
        (told["came"] - published["begun"]) / 1e9,
        (published["handed_over"] - published["begun"]) / 1e9,
        arrivals,
        usage,
    )


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
