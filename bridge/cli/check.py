"""`check`: is the configuration right, and is everything it names there.

One line per thing tried, on stdout: `ok` or `FAILED`, what, and what was found. Then, with
`--sample`, one event of each table as each of its sinks would get it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import NamedTuple

from bridge.cli import logs
from bridge.cli.check_shaping import misnamed
from bridge.cli.listing import counted
from bridge.cli.main import ENVIRONMENT, OK
from bridge.cli.samples import Sample, samples
from bridge.config import Config, Table, find_file, load
from bridge.errors import BridgeError
from bridge.events import Schema
from bridge.journal import filesystem_problem
from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber
from bridge.sinks.base import Assignment
from bridge.sinks.registry import find
from bridge.supervisor import make_plan, make_ring
from bridge.wire.calls import DEFAULT_MONITOR_PORT, Cluster, TableInfo, qualified


class Finding(NamedTuple):
    """What one try came to; `problem` is None where all is well."""

    what: str
    found: str
    problem: str | None = None


def run(arguments: argparse.Namespace) -> int:
    """Validate, then try every connection; 3 if one of them is not as it should be."""
    path = find_file(arguments.config)
    config = load(path)
    tables, sinks = counted(len(config.tables), "table"), counted(len(config.sinks), "sink")
    print(f"ok      {path}: {tables}, {sinks}")
    if arguments.offline:
        return OK
    logs.configure("error", config.log.format)
    failed = 0
    layouts: dict[str, Schema] = {}
    for finding in _findings(config, layouts):
        failed += finding.problem is not None
        mark = "FAILED" if finding.problem else "ok"
        print(f"{mark:<7} {finding.what}: {finding.problem or finding.found}", flush=True)
    texts: dict[tuple[str, str], str] = {}  # of a pattern one table
    for sample in samples(config, layouts):
        if sample.problem is not None:
            failed += 1
            print(f"FAILED  sink {sample.sink}, table {sample.table}: {sample.problem}", flush=True)
            continue
        if sample.found is not None:
            print(f"ok      sink {sample.sink}, table {sample.table}: {sample.found}", flush=True)
        texts.setdefault(_entry_of(config, sample), sample.text)
    if arguments.sample:
        print("".join(f"\n{text}\n" for text in texts.values()), end="", flush=True)
    if failed:
        print(f"\n{failed} of the things above need a hand")
        return ENVIRONMENT
    return OK


def _entry_of(config: Config, sample: Sample) -> tuple[str, str]:
    """Return what a sample is one of: a sink, and a table's entry, which may be a pattern."""
    entry = config.entry(sample.table)
    return sample.sink, sample.table if entry is None else entry.name


def _findings(config: Config, layouts: dict[str, Schema]) -> Iterator[Finding]:
    """Try one thing after another; put the layouts of the tables that are found into `layouts`."""
    yield _journal(config.journal.path)
    ring = make_ring(config)
    tables_of: Cluster | None = None
    for cluster in ring.clusters:
        finding = _cluster(cluster, config)
        yield finding
        if finding.problem is None:
            tables_of = tables_of or cluster
            yield _monitor_port(cluster, config)
    for table in config.tables:
        if table.is_pattern:
            yield _pattern(table, config, tables_of, layouts)
        else:
            yield _table(table, tables_of, layouts)
    ring.close()
    for what, problem in misnamed(config, layouts):
        yield Finding(what, "", problem)
    for name, plan in make_plan(config, layouts).sinks.items():
        sink = find(plan.settings.type)(plan.settings)
        sink.assignment = Assignment(name, tables=plan.tables)
        what = f"sink {name} ({plan.settings.type})"
        try:
            noted = sink.check()
        except Exception as error:  # noqa: BLE001 (whatever a plug-in raises is the finding)
            yield Finding(what, "", str(error) or type(error).__name__)
        else:
            yield Finding(what, noted or "can be reached")
        finally:
            sink.close()


def _journal(path: Path) -> Finding:
    what = f"journal {path}"
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(what, "", f"{existing} cannot be written by this user")
    problem = filesystem_problem(existing)
    if problem is not None:
        return Finding(what, "", problem)
    free = os.statvfs(existing)
    return Finding(what, f"can be written, {free.f_bavail * free.f_frsize // 2**20} MiB free")


def _cluster(cluster: Cluster, config: Config) -> Finding:
    what = f"cluster {cluster.url}"
    try:
        status = cluster.status(config.kinetica.timeout)
        version = cluster.properties().version
    except BridgeError as error:
        return Finding(what, "", str(error))
    if status != "running":
        return Finding(what, "", f"it says it is {status}")
    return Finding(what, f"running, version {version or 'unknown'}")


def _monitor_port(cluster: Cluster, config: Config) -> Finding:
    port = config.kinetica.monitor_port or cluster.properties().monitor_port
    if port == -1:
        return Finding(f"monitors of {cluster.url}", "", "switched off on the server")
    endpoint = f"tcp://{cluster.http.host}:{port or DEFAULT_MONITOR_PORT}"
    subscriber: Subscriber[Route] = Subscriber(lambda *_: None, lambda: None)
    subscriber.start()
    try:
        subscriber.subscribe(endpoint, {}).result(config.kinetica.timeout)
    except (FutureTimeoutError, CancelledError):
        return Finding(f"monitor port {endpoint}", "", "no ZeroMQ peer answers there")
    finally:
        subscriber.stop()
    return Finding(f"monitor port {endpoint}", "answers")


def _table(table: Table, cluster: Cluster | None, layouts: dict[str, Schema]) -> Finding:
    name = qualified(table.name)
    if cluster is None:
        return Finding(f"table {name}", "", "no cluster to ask")
    try:
        info = cluster.table(name)
    except BridgeError as error:
        return Finding(f"table {name}", "", str(error))
    if info is None:
        return Finding(f"table {name}", "", f"does not exist on {cluster.url}")
    if info.schema is not None:
        layouts[name] = info.schema
    return Finding(f"table {name}", _described(info.schema), _problem(table, info))


def _problem(entry: Table, info: TableInfo) -> str | None:
    if info.schema is None:
        return info.trouble
    missing = sorted(entry.columns_named - {column.name for column in info.schema.columns})
    return f"has no column {', '.join(missing)}" if missing else None


def _pattern(
    entry: Table, config: Config, cluster: Cluster | None, layouts: dict[str, Schema]
) -> Finding:
    what = f"pattern {entry.name}"
    if cluster is None:
        return Finding(what, "", "no cluster to ask")
    try:
        listed = cluster.tables(entry.name.rpartition(".")[0], config.kinetica.timeout)
    except BridgeError as error:
        return Finding(what, "", str(error))
    meant = [info for name, info in listed.items() if config.entry(name) is entry]
    layouts.update({info.name: info.schema for info in meant if info.schema is not None})
    problems = {info.name: _problem(entry, info) for info in meant}
    found = [f"{name} {problem}" for name, problem in problems.items() if problem is not None]
    if found:
        return Finding(what, "", "; ".join(found))
    return Finding(what, f"means {counted(len(meant), 'table')} at present")


def _described(schema: Schema | None) -> str:
    if schema is None:
        return ""
    key = ", ".join(schema.primary_key) or "no primary key"
    return f"{len(schema.columns)} columns, {key}"
