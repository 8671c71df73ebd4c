"""How fast are records received and validated, beside a bare loop in C and one in pyzmq?

The receiver alone: no journal, nobody who takes what came. The bare loop copies each frame as
somebody who keeps it must, and validates nothing. Compared by CPU time, libzmq's thread
included, as at full speed the publisher may be what is measured otherwise; records/s beside it.

    python -m benchmarks.bench_receive [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

import json
import uuid

from benchmarks import harness, orders, stage
from benchmarks.destinations import Arrivals
from benchmarks.harness import Options, Row
from benchmarks.processes import Ended, Program, Usage, UsageMeter
from benchmarks.stage import Run, Stage

_RECORDS = {1000: 5_000_000, 1: 2_000_000}
_NO_RECEIVER = 2  # as receive_program.py says


def rows(options: Options) -> list[Row]:
    found: list[Row] = []
    with Stage(options) as on:
        for per_message in _RECORDS:
            name = f"receive, {per_message:,} a message"
            print(f"\n{name}", flush=True)
            try:
                results = measure(on, per_message)
            except Ended as ended:
                if ended.code != _NO_RECEIVER:
                    raise
                found.append(Row(name, "", "0.60; 3", "not in this tree"))
                continue
            stage.report(results)
            found += _rows(name, results)
    return found


def measure(on: Stage, per_message: int) -> dict[str, list[Run]]:
    """Run the contenders by turns."""
    records = on.options.scaled(_RECORDS[per_message])
    contenders = {
        name: lambda how=how: _receive(on, how, records, per_message)
        for name, how in (
            ("bridge", "bridge"),
            ("bridge again", "bridge"),
            ("bare C", "c"),
            ("pyzmq", "pyzmq"),
        )
    }
    return harness.alternate(contenders, on.options.runs)


def _receive(on: Stage, how: str, records: int, per_message: int) -> Run:
    topic = uuid.uuid4().hex
    tree = on.options.tree if how == "bridge" else harness.ROOT
    place = (on.publisher.monitor_port, topic, records, json.dumps(orders.LAYOUT))
    with Program("receive_program.py", how, *place, tree=tree) as program:
        program.read()
        meter = UsageMeter(program.pid)
        published = on.publisher.tell(
            "publish", topic=topic, records=records, per_message=per_message
        )
        told = program.read()
        peak = meter.usage().peak_bytes
    return Run(
        records,
        (told["came"] - published["begun"]) / 1e9,
        (published["handed_over"] - published["begun"]) / 1e9,
        Arrivals(records, 0, True, 0, 0, float("nan")),
        Usage(told["cpu_seconds"], peak),
    )


def _rows(name: str, results: dict[str, list[Run]]) -> list[Row]:
    bridge, again = results["bridge"], results["bridge again"]
    noise = stage.cpu_ratio(again, bridge)
    measured = f"{stage.cpu(bridge):.2f} CPU s per million, {stage.rate(bridge):,.0f}/s"
    found = []
    for who, target in (("bare C", "0.60"), ("pyzmq", "3")):
        other = results[who]
        question = "share of a bare loop in C" if who == "bare C" else "times pyzmq"
        found.append(
            Row(
                f"{name}: {question}",
                "",
                target,
                f"{measured} ({who} {stage.cpu(other):.2f}, {stage.rate(other):,.0f}/s)",
                stage.cpu_ratio(other, bridge),
                noise,
            )
        )
    return found


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
