"""`check`: is the configuration right, and is everything it names there.

One line per thing tried, on stdout: `ok`, `warning` or `FAILED`, what, and what was found; under
what is not well, what to do about it. Then, with `--sample`, one event of each table as each of its
sinks would get it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from bridge.cli import logs
from bridge.cli.check_clusters import cluster, monitor_port
from bridge.cli.check_finding import Finding, fine, wrong
from bridge.cli.check_machine import machine
from bridge.cli.check_shaping import misnamed
from bridge.cli.check_sinks import sinks
from bridge.cli.check_tables import tables
from bridge.cli.configuration import hide, load
from bridge.cli.listing import counted, print_json
from bridge.cli.main import ENVIRONMENT, OK
from bridge.cli.samples import Sample, samples
from bridge.config import Config, find_file
from bridge.events import Schema
from bridge.supervisor import make_ring
from bridge.wire.calls import Cluster


def run(arguments: argparse.Namespace) -> int:
    """Validate, then try every connection; 3 if one of them is not as it should be."""
    path = find_file(arguments.config)
    config = load(path)
    of = f"{counted(len(config.tables), 'table')}, {counted(len(config.sinks), 'sink')}"
    logs.configure("error", config.log.format, hide=hide)
    shown: list[Sample] = []
    count = Counter[str]()
    for found in _findings(f"{path}", of, config, shown, offline=arguments.offline):
        finding = found.told(hide)
        count[finding.mark] += 1
        if arguments.json:
            print_json([_fields(finding)])
        else:
            print(finding, flush=True)
    if arguments.sample:
        _print_samples(config, shown, as_json=arguments.json)
    if not arguments.json:
        _sum_up(count)
    return ENVIRONMENT if count["FAILED"] else OK


def _findings(
    path: str, of: str, config: Config, shown: list[Sample], *, offline: bool
) -> Iterator[Finding]:
    yield fine(path, of)
    if offline:
        return
    yield from machine(config)
    layouts: dict[str, Schema] = {}
    ring = make_ring(config)
    tables_of: Cluster | None = None
    for one in ring.clusters:
        found, properties = cluster(one, config)
        yield from found
        if properties is not None:
            tables_of = tables_of or one
            yield monitor_port(one, properties, config)
    yield from tables(config, tables_of, layouts)
    ring.close()
    for what, problem in misnamed(config, layouts):
        yield wrong(what, problem, "mend the name, or take it out")
    made = list(samples(config, layouts))
    sizes = {(sample.sink, sample.table): sample.size for sample in made if sample.size}
    yield from sinks(config, layouts, sizes)
    for sample in made:
        what = f"sink {sample.sink}, table {sample.table}"
        if sample.problem is not None:
            yield wrong(what, sample.problem, sample.cure)
            continue
        if sample.found is not None:
            yield fine(what, sample.found)
        shown.append(sample)


def _fields(finding: Finding) -> dict[str, str]:
    return {
        "mark": finding.mark,
        "what": finding.what,
        "text": finding.text,
        "cure": finding.cure,
    }


def _print_samples(config: Config, shown: list[Sample], *, as_json: bool) -> None:
    texts: dict[tuple[str, str], Sample] = {}  # of a pattern one table
    for sample in shown:
        texts.setdefault(_entry_of(config, sample), sample)
    if as_json:
        print_json({"sink": s.sink, "table": s.table, "sample": s.text} for s in texts.values())
    else:
        print("".join(f"\n{sample.text}\n" for sample in texts.values()), end="", flush=True)


def _sum_up(count: Counter[str]) -> None:
    failed, odd = count["FAILED"], count["warning"]
    if failed:
        needs = "needs" if failed == 1 else "need"
        print(f"\n{failed} of the things above {needs} a hand")
    elif odd:
        deserves = "deserves" if odd == 1 else "deserve"
        print(f"\nall works; {odd} of the things above {deserves} a look")


def _entry_of(config: Config, sample: Sample) -> tuple[str, str]:
    """Return what a sample is one of: a sink, and a table's entry, which may be a pattern."""
    entry = config.entry(sample.table)
    return sample.sink, sample.table if entry is None else entry.name
