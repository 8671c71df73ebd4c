"""The table that is watched: its rows, how they are told to be right, and a load that inserts.

A row has an `id` that counts from 0 and two columns that follow from it, so that a record which
was decoded with the wrong columns shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from bridge.errors import BridgeError
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator
from kinetica_emulator.changes import InsertOptions, insert

TABLE = "ki_home.orders"
COLUMNS = {"id": ["long", "primary_key"], "label": ["string", "char32"], "at": ["long"]}
BATCH = 20
PAUSE_SECONDS = 0.05

_START = 1_700_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def row(number: int) -> dict[str, Any]:
    return {"id": number, "label": f"n{number}", "at": _START + number}


def is_right(record: Mapping[str, Any]) -> bool:
    """Say whether a record that was told is the row of its id, in whichever form it has."""
    number = record.get("id")
    if not isinstance(number, int) or record.get("label") != f"n{number}":
        return False
    at = _START + number
    if record.get("at") == at:
        return True
    text = (_EPOCH + timedelta(milliseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return record.get("at") == f"{text}Z"


def encode(number: int) -> bytes:
    """Return a row as a table monitor sends it."""
    label = f"n{number}".encode()
    return b"".join((_zigzag(number), _zigzag(len(label)), label, _zigzag(_START + number)))


def _zigzag(number: int) -> bytes:
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Database:
    """Makes and changes tables over HTTP, as a program of a user would."""

    def __init__(self, cluster: Emulator) -> None:
        self.cluster = cluster
        self._http = Http(cluster.url, Access(), timeout=10.0)

    def call(self, endpoint: str, **body: Any) -> dict[str, Any]:
        return self._http.call(endpoint, body, changes=True)

    def create(self, table: str = TABLE) -> None:
        fields = [{"name": name, "type": spec[0]} for name, spec in COLUMNS.items()]
        definition = {"type": "record", "name": "type_name", "fields": fields}
        type_id = self.call(
            "/create/type",
            type_definition=orjson.dumps(definition).decode(),
            label="",
            properties={name: spec[1:] for name, spec in COLUMNS.items()},
        )["type_id"]
        self.call("/create/table", table_name=table, type_id=type_id)

    def drop(self) -> None:
        self.call("/clear/table", table_name=TABLE, authorization="")

    def execute(self, statement: str) -> None:
        self.call("/execute/sql", statement=statement, offset=0, limit=-9999, options={})

    def insert(self, numbers: Sequence[int], table: str = TABLE) -> None:
        texts = [orjson.dumps(row(number)).decode() for number in numbers]
        self.call(
            "/insert/records", table_name=table, list=[], list_str=texts, list_encoding="json"
        )

    def insert_inside(self, numbers: Sequence[int]) -> None:
        """Insert as a client does that still reaches a cluster which we do not."""
        database = self.cluster.database
        with database.lock:
            rows = [tuple(row(number).values()) for number in numbers]
            insert(database, database.table(TABLE), rows, None, InsertOptions())

    def insert_unpublished(self, numbers: Sequence[int]) -> None:
        """Insert without a notification, which the caller publishes in a form of its own."""
        database = self.cluster.database
        with database.lock:
            monitors = database.monitors.active(TABLE, "insert")
            for monitor in monitors:
                monitor.suspended = True
            try:
                self.insert_inside(numbers)
            finally:
                for monitor in monitors:
                    monitor.suspended = False

    def topics(self) -> list[str]:
        """Return the topics of the table's insert monitors, everybody's."""
        database = self.cluster.database
        with database.lock:
            return [monitor.topic_id for monitor in database.monitors.active(TABLE, "insert")]

    def ids(self) -> set[int]:
        """Return what the table has now."""
        database = self.cluster.database
        with database.lock:
            return {number for (number,) in database.rows.run(f'SELECT id FROM "{TABLE}"')}

    def close(self) -> None:
        self._http.close()


class Load:
    """Inserts a few rows several times a second in a thread, from `start` to `stop`.

    Attributes:
        put: inserts rows of these numbers; may be replaced at any time.
        rows: number to when it was sent, nanoseconds of the monotonic clock; accepted rows only.
        doubtful: the same of rows that may have gone in although the call failed.
    """

    def __init__(self, put: Callable[[Sequence[int]], None]) -> None:
        self.put = put
        self.rows: dict[int, int] = {}
        self.doubtful: dict[int, int] = {}
        self._numbers = threading.Lock()  # guards _next
        self._next = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the insert under way; idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self, count: int) -> range:
        """Reserve numbers for rows that somebody else inserts, who notes them in `rows`."""
        with self._numbers:
            first = self._next
            self._next += count
        return range(first, first + count)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            numbers = self.take(BATCH)
            sent = time.monotonic_ns()
            try:
                self.put(numbers)
            except BridgeError:
                self.doubtful |= dict.fromkeys(numbers, sent)
                continue
            self.rows |= dict.fromkeys(numbers, sent)
