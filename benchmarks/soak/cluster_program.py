"""A ring of two clusters with a writer that gives up no row: told by JSON lines on stdin.

    {"do": "create", "names": [T, …], "each": N}   tables, with N rows an insert
    {"do": "write", "per_second": R}               from now on, all tables in turn
    {"do": "rest"}                                 no longer; as `written`
    {"do": "written"}                              how many rows each table was given
    {"do": "forget", "below": {T: N, …}}           delete rows with lower numbers
    {"do": "alter", "table": T}                    add the column `extra`, or take it away
    {"do": "lose", "changes": N}                   the next changes are told to nobody
    {"do": "fault", "name": F}                     a method of `Emulator`, of the primary

Each line is answered by one on stdout. Rows are numbered in each table from 0. A row that a
cluster did not confirm is written again, to whichever cluster takes it; its key makes it one row.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.compare.watched import Database
from bridge.errors import BridgeError
from kinetica_emulator import Ring

_REPLICATED_AFTER = 0.1
_PAUSE_SECONDS = 0.05


class WrittenRing:
    """The ring and its writer."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._members = [ring[number] for number in range(len(ring))]
        self._databases = [Database(member) for member in self._members]
        self._each: dict[str, int] = {}
        self._next: dict[str, int] = {}
        self._wide: set[str] = set()
        self._behind = 0.0
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None

    def create(self, names: Sequence[str], each: int) -> dict[str, Any]:
        for name in names:
            self._databases[0].create(name)
            self._each[name], self._next[name] = each, 0
        return {}

    def write(self, per_second: float) -> dict[str, Any]:
        self._writer = threading.Thread(target=self._write, args=(per_second,), name="writer")
        self._writer.start()
        return {}

    def rest(self) -> dict[str, Any]:
        self._stopping.set()
        if self._writer is not None:
            self._writer.join()
        self._ring.wait_replicated(30)
        return self.written()

    def written(self) -> dict[str, Any]:
        return {"next": dict(self._next), "behind": self._behind}

    def forget(self, below: Mapping[str, int]) -> dict[str, Any]:
        for table, number in below.items():
            self._execute(f"DELETE FROM {table} WHERE id < {number}")
        return {}

    def alter(self, table: str) -> dict[str, Any]:
        change = "DROP COLUMN extra" if table in self._wide else "ADD COLUMN extra INT NULL"
        self._execute(f"ALTER TABLE {table} {change}")
        self._wide ^= {table}
        return {}

    def lose(self, changes: int) -> dict[str, Any]:
        for member in self._members:
            member.skip_notifications(changes, events=["insert"])
        return {}

    def fault(self, name: str) -> dict[str, Any]:
        getattr(self._members[0], name)()
        return {}

    def _execute(self, statement: str) -> None:
        for database in self._databases:
            try:
                database.execute(statement)
            except BridgeError:
                continue  # it is down; the other one takes it
            return
        raise BridgeError(f"no cluster took {statement}")

    def _write(self, per_second: float) -> None:
        begun, done = time.monotonic(), 0
        while not self._stopping.is_set():
            for name, each in self._each.items():
                self._insert(name, range(self._next[name], self._next[name] + each))
                self._next[name] += each
                done += each
                wait = begun + done / per_second - time.monotonic()
                self._behind = max(self._behind, -wait)
                self._stopping.wait(max(wait, 0))

    def _insert(self, name: str, numbers: Sequence[int]) -> None:
        while True:
            for database in self._databases:
                if not database.cluster.reachable:
                    continue
                try:
                    database.insert(numbers, name)
                except BridgeError:
                    continue
                return
            time.sleep(_PAUSE_SECONDS)


def main() -> None:
    with Ring(2, delay=_REPLICATED_AFTER) as ring:
        written = WrittenRing(ring)
        print(json.dumps({"urls": ring.urls}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(written, command.pop("do"))(**command)), flush=True)
        written.rest()


if __name__ == "__main__":
    main()
