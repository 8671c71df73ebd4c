"""A Kinetica whose tables grow: filled at once, then written at a rate, whoever listens.

Runs in a process of its own, told what to do by lines of JSON on stdin, each answered by one
on stdout.

    {"do": "fill", "names": [T, …], "rows": N, "keyed": false}   N rows in each table
    {"do": "write", "per_second": R}   from now on, over all tables in turn
    {"do": "written"}                  the next number of each table, and how many rows are written
    {"do": "rest"}                     no longer; as `written`

Rows are numbered in each table from 0. They are filled by SQL beneath the emulator, which tells
nobody, and written by its own insert, which does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from kinetica_emulator import Emulator
from kinetica_emulator.changes import InsertOptions, insert
from kinetica_emulator.columns import build_type
from kinetica_emulator.sqltext import quote

_COLUMNS = [
    ("id", "long", False),
    ("sent", "long", False),
    ("customer", "string", False),
    ("quantity", "int", False),
    ("price", "double", False),
]
_FILL = """
    WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
    INSERT INTO {} SELECT i, 0, 'customer ' || i, i % 50, i % 10000 / 8.0 FROM n"""
_ROWS_AN_INSERT = 10
_PROMPT = InsertOptions()


class GrowingTables:
    """The emulator and its writer."""

    def __init__(self, emulator: Emulator) -> None:
        self._database = emulator.database
        self._next: dict[str, int] = {}
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None
        self._written = 0
        self._behind = 0.0

    def fill(self, names: Sequence[str], rows: int, keyed: bool) -> dict[str, Any]:
        key = {"id": ["primary_key"]} if keyed else {}
        with self._database.lock:
            for name in names:
                table = self._database.create_table(name, build_type(_COLUMNS, key))
                if rows:
                    self._database.rows.run(_FILL.format(quote(table.name)), (rows,))
                    self._database.rows.prepare_order(table.name, "id")
                    self._database.note_write(table)
                self._next[table.name] = rows
        return {}

    def write(self, per_second: float) -> dict[str, Any]:
        self._stopping.clear()
        self._writer = threading.Thread(target=self._write, args=(per_second,), name="writer")
        self._writer.start()
        return self.written()

    def rest(self) -> dict[str, Any]:
        self._stopping.set()
        if self._writer is not None:
            self._writer.join()
        return self.written()

    def written(self) -> dict[str, Any]:
        with self._database.lock:
            return {"next": self._next, "rows": self._written, "behind": self._behind}

    def _write(self, per_second: float) -> None:
        begun, done = time.monotonic(), 0
        while not self._stopping.is_set():
            for name in self._next:
                self._insert(name)
                done += _ROWS_AN_INSERT
                wait = begun + done / per_second - time.monotonic()
                self._behind = max(self._behind, -wait)
                if self._stopping.wait(max(wait, 0)):
                    break

    def _insert(self, name: str) -> None:
        with self._database.lock:
            first, sent = self._next[name], time.time_ns() // 1000
            rows = [
                (number, sent, f"customer {number}", number % 50, number % 10_000 / 8)
                for number in range(first, first + _ROWS_AN_INSERT)
            ]
            insert(self._database, self._database.table(name), rows, None, _PROMPT)
            self._next[name] += _ROWS_AN_INSERT
            self._written += _ROWS_AN_INSERT


def main() -> None:
    with Emulator() as emulator:
        tables = GrowingTables(emulator)
        place = {"url": emulator.url, "monitor_port": emulator.monitor_port}
        print(json.dumps(place), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(tables, command.pop("do"))(**command)), flush=True)
        tables.rest()


if __name__ == "__main__":
    main()
