"""A bridge and its emulated clusters in one process, for tests that break things.

The service is the real one, built by the supervisor from a configuration; its events are read
back from the file that its file sink writes.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from services.process import wait_until

from bridge.config import Config, parse
from bridge.monitor.naming import prefix
from bridge.monitor.table import TableMonitor
from bridge.reading import Patience, ReadingOptions
from bridge.reading.baseline import baseline_path
from bridge.supervisor import Snapshot, Supervisor
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator

TABLE = "ki_home.orders"
COLUMNS: dict[str, list[str]] = {"id": ["long", "primary_key"], "name": ["string", "char32"]}
# Notifications of the emulator are not late, unless a test has asked for that.
READING = ReadingOptions(patience=Patience(late=0.5))
FAST = {"probe_interval": "300ms", "probe_timeout": "1s", "timeout": "5s"}


class Database:
    """Makes, fills and changes tables over HTTP, as a program of a user would."""

    def __init__(self, emulator: Emulator) -> None:
        self._http = Http(emulator.url, Access(), timeout=10.0)

    def call(self, endpoint: str, **body: Any) -> dict[str, Any]:
        return self._http.call(endpoint, body, changes=True)

    def create(self, table: str = TABLE, columns: Mapping[str, list[str]] = COLUMNS) -> None:
        fields = [
            {"name": name, "type": [spec[0], "null"] if "nullable" in spec else spec[0]}
            for name, spec in columns.items()
        ]
        type_id = self.call(
            "/create/type",
            type_definition=json.dumps({"type": "record", "name": "type_name", "fields": fields}),
            label="",
            properties={name: spec[1:] for name, spec in columns.items()},
        )["type_id"]
        self.call("/create/table", table_name=table, type_id=type_id)

    def insert(self, rows: Iterable[Mapping[str, Any]], table: str = TABLE) -> None:
        texts = [json.dumps(row) for row in rows]
        self.call(
            "/insert/records", table_name=table, list=[], list_str=texts, list_encoding="json"
        )

    def insert_ids(self, ids: Iterable[int], table: str = TABLE) -> None:
        self.insert(({"id": n, "name": f"n{n}"} for n in ids), table)

    def delete(self, expression: str, table: str = TABLE) -> None:
        self.call("/delete/records", table_name=table, expressions=[expression])

    def update(self, expression: str, table: str = TABLE, **values: str) -> None:
        self.call(
            "/update/records",
            table_name=table,
            expressions=[expression],
            new_values_maps=[values],
            records_to_insert=[],
            records_to_insert_str=[],
            record_encoding="json",
            options={},
        )

    def alter(self, action: str, value: str, table: str = TABLE, **options: str) -> None:
        self.call("/alter/table", table_name=table, action=action, value=value, options=options)

    def drop(self, table: str = TABLE) -> None:
        self.call("/clear/table", table_name=table, authorization="")

    def monitors(self) -> list[str]:
        return list(self._http.call("/show/tablemonitors", {"monitor_ids": []})["monitor_ids"])

    def clear(self, monitor: str) -> None:
        self.call("/clear/tablemonitor", topic_id=monitor)

    def close(self) -> None:
        self._http.close()


class Rig:
    """A running service. A context manager; `stop` and `start` restart it on its journal."""

    def __init__(
        self,
        folder: Path,
        urls: list[str],
        kinetica: Mapping[str, Any] = FAST,
        reading: ReadingOptions = READING,
        **table: Any,
    ) -> None:
        self.folder = folder
        self.tables = [{"name": TABLE, **table}]
        self.sinks: dict[str, Any] = {
            "out": {"type": "file", "path": str(folder / "{table}.jsonl")}
        }
        self.journal: dict[str, Any] = {"path": str(folder / "journal")}
        self._kinetica = {"urls": urls, **kinetica}
        self.supervisor: Supervisor | None = None
        self.upkeep_pause = 5.0
        self.queue_bytes = 64 * 2**20
        self.reading = reading

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def config(self) -> Config:
        return parse(
            yaml.safe_dump(
                {
                    "kinetica": self._kinetica,
                    "journal": self.journal,
                    "tables": self.tables,
                    "sinks": self.sinks,
                }
            )
        )

    def reload(self) -> None:
        """Take over what was changed in tables and sinks."""
        assert self.supervisor is not None
        self.supervisor.reload(self.config)

    def start(self) -> Self:
        self.supervisor = Supervisor(
            self.config,
            upkeep_pause=self.upkeep_pause,
            queue_bytes=self.queue_bytes,
            reading=self.reading,
        )
        self.supervisor.start()
        return self

    def stop(self) -> None:
        if self.supervisor is not None:
            self.supervisor.stop(5.0)
            self.supervisor = None

    def snapshot(self) -> Snapshot:
        assert self.supervisor is not None
        snapshot = self.supervisor.snapshot()
        assert snapshot is not None
        return snapshot

    def table(self, table: str = TABLE) -> TableMonitor:
        assert self.supervisor is not None
        snapshot = self.supervisor.snapshot()
        assert snapshot is not None
        return snapshot.tables[table]

    def known(self, table: str = TABLE) -> int:
        """How many rows the table's baseline knows, -1 while it is not complete."""
        path = baseline_path(self.folder / "journal" / "baselines", table)
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
                facts = dict(file.execute("SELECT name, value FROM fact"))
                (count,) = file.execute("SELECT ifnull(sum(times), 0) FROM row").fetchone()
                return int(count) if facts.get("complete") == "true" else -1
        except sqlite3.DatabaseError:
            return -1  # there is none yet, or it is being made

    def wait_known(self, rows: int, table: str = TABLE) -> None:
        wait_until(lambda: self.known(table) == rows, f"{rows} rows are known")

    def state(self, table: str = TABLE) -> str:
        return str(self.snapshot().tables[table].state)

    def wait_state(self, *states: str, table: str = TABLE, timeout: float = 30.0) -> None:
        wait_until(lambda: self.state(table) in states, f"{table} is {states}", timeout)

    def wait_live(self, table: str = TABLE, timeout: float = 30.0) -> None:
        self.wait_state("live", table=table, timeout=timeout)

    def wait_cluster(self, url: str) -> None:
        wait_until(lambda: self.snapshot().cluster == url, f"{url} is in use")

    @staticmethod
    def monitors_of(table: str, monitors: list[str]) -> list[str]:
        """Return those of our monitors that are of one table, whatever the instance."""
        digest = prefix("", table).removeprefix(prefix(""))
        return [monitor for monitor in monitors if digest in monitor]

    def height(self, table: str = TABLE) -> Any:
        """The highest value of the growing column."""
        levels = self.snapshot().tables[table].levels
        return levels.height if levels else None

    def wait_audits(self, count: int, table: str = TABLE) -> None:
        """Wait until a table has been audited some more times."""
        counts = self.snapshot().tables[table].counts
        before = counts.audits
        wait_until(lambda: counts.audits >= before + count, f"{count} audits")

    def events(self, *types: str, table: str = TABLE) -> list[dict[str, Any]]:
        path = self.folder / f"{table}.jsonl"
        if not path.exists():
            return []
        # What is being written at this moment is not there yet.
        whole = path.read_text().rpartition("\n")[0].splitlines()
        events = [json.loads(line) for line in whole]
        return [event for event in events if not types or event["type"] in types]

    def rows(self, table: str = TABLE) -> list[dict[str, Any]]:
        """The rows delivered, live or read."""
        return [event["record"] for event in self.events("insert", "read", table=table)]

    def ids(self, table: str = TABLE) -> list[int]:
        return [row["id"] for row in self.rows(table)]

    def wait_ids(self, ids: Iterable[int], table: str = TABLE, timeout: float = 30.0) -> None:
        """Wait until exactly these ids were delivered, each once, in any order."""
        wanted = sorted(ids)
        wait_until(
            lambda: sorted(self.ids(table)) == wanted or len(self.ids(table)) > len(wanted),
            f"{len(wanted)} rows",
            timeout,
        )
        assert sorted(self.ids(table)) == wanted

    def wait_gaps_closed(self, timeout: float = 30.0) -> None:
        def closed() -> bool:
            tables = self.snapshot().tables.values()
            return all(t.counts.gaps_open == 0 for t in tables)

        wait_until(closed, "every gap is closed", timeout)
