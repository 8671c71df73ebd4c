"""How much faster than the vendor's decoder and `json.dumps` are records written as JSON?

One thread, a thousand records, by turns. The bridge's lines are whole events, envelope included,
and its values have their declared forms; the vendor's are the values as they come. What other
work the codec does, and what the fallback needs, is asked by `bench_codec`.

    python -m benchmarks.bench_transcode [--scale F] [--tree PATH]
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence

from benchmarks import frames, harness, orders
from benchmarks.bench_codec import TYPED, avro_of, encoded, typed_row
from benchmarks.harness import Options, Row
from benchmarks.processes import Program

_RECORDS = 1000
_ROUNDS = 41
_NOW = 1_795_423_320_123_456


def rows(options: Options) -> list[Row]:
    plain = [frames.encode(number, _NOW) for number in range(_RECORDS)]
    typed = [[c.name, c.base, c.type, c.nullable] for c in TYPED.columns]
    return [
        _row(
            options,
            "12 columns of many types",
            "0.5",
            typed,
            avro_of(TYPED),
            encoded(TYPED, typed_row),
        ),
        _row(options, "8 columns", "", orders.LAYOUT, orders.AVRO, plain),
    ]


def _row(
    options: Options, what: str, today: str, layout: object, avro: object, records: Sequence[bytes]
) -> Row:
    rounds = options.scaled(_ROUNDS)
    work = (json.dumps(layout), json.dumps(avro), rounds)
    with Program("transcode_program.py", *work, tree=options.tree) as program:
        program.write("\n".join(record.hex() for record in records))
        program.end_input()
        taken = program.read()
    bridge, again, vendor = (taken[name] for name in ("bridge", "bridge again", "vendor"))
    each, its = (statistics.median(seconds) / len(records) * 1e9 for seconds in (bridge, vendor))
    return Row(
        f"transcode, {what}: times the vendor's decode + json.dumps",
        today,
        "15",
        f"{each:,.0f} ns a record (vendor {its:,.0f})",
        f"{harness.ratio(vendor, bridge, float):.1f}",
        f"{harness.ratio(again, bridge, float):.2f}",
    )


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
