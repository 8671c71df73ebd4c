"""What the program of a user does to the table, wherever a cluster takes it."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chaos.ledger import Layout, Ledger, Row, content
from chaos.variants import Variant
from services.rig import TABLE, Database

from bridge.errors import BridgeError
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator
from kinetica_emulator.ring import Ring

# It gives up on a call after this; the service's own time-outs are longer.
_CALL_SECONDS = 1.0
_LOAD_PAUSE = 0.01
_TURNS_TO_DELETE = 25


class _Hasty(Database):
    """One who does not wait long for an answer."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._http = Http(emulator.url, Access(), timeout=_CALL_SECONDS)


class TableProgram:
    """Changes the table. What has no leading underscore and returns nothing is a step of a plan.

    Args:
        ring: the clusters.
        variant: what the table is.

    Attributes:
        ledger: all rows that were ever tried.
        layouts: all that the table had.
        drops: when it was dropped, or may have been; seconds since the epoch.
        alike: how many of these nobody could see but by the table's identity.
        lock: held while rows are inserted, in one layout at a time.
    """

    def __init__(self, ring: Ring, variant: Variant) -> None:
        self.ledger = Ledger()
        self.layouts: set[Layout] = set()
        self.drops: list[float] = []
        self.alike = 0
        self.lock = threading.RLock()
        self._ring = ring
        self._variant = variant
        self._versions = itertools.count(1)
        self._chance = random.Random(0)
        self._asks = [_Hasty(ring[i]) for i in range(len(ring))]

    def close(self) -> None:
        """Let go of its connections."""
        for ask in self._asks:
            ask.close()

    def insert(self, count: int) -> None:
        """Insert rows in one call, wherever a cluster takes them."""
        with self.lock:
            layout = self.truth()
            if layout is None:
                return
            ids = self.ledger.next_ids(count)
            self._insert({id_: Row(layout, time.time(), rank=id_) for id_ in ids})

    def lie(self, how: str) -> None:
        """Insert rows whose `rank` does not grow, as it was said to: far too high, low, or null."""
        with self.lock:
            layout = self.truth()
            if layout is None:
                return
            ranks = {"far": 10**15, "back": -(10**6), "null": None}
            rows = {}
            for id_ in self.ledger.next_ids(3):
                rank = ranks[how]
                told = None if rank is None else rank + id_
                rows[id_] = Row(layout, time.time(), rank=told, lies=how != "far")
            self._insert(rows)

    def reinsert(self, seconds: float) -> None:
        """Delete some rows, and insert the same ones again after a while."""
        with self.lock:
            layout = self.truth()
            ids = self._present_of(self._some_ids())
            if layout is None or not ids:
                return
            rows = [self.ledger.rows[id_] for id_ in ids]
            for row in rows:
                row.again, row.touched, row.lives = row.again + 1, True, None
            began = time.time()
            if not self._attempt("delete", _one_of(ids)):
                return
            time.sleep(seconds)
            again = time.time()
            changed = [content(id_, layout, row.rank) for id_, row in zip(ids, rows, strict=True)]
            if self.truth() == layout and self._attempt("insert", changed):
                for row in rows:
                    row.lives = began, again

    def update(self) -> None:
        """Give a range of rows another note."""
        with self.lock:
            ids, note = self._some_ids(), f"v{next(self._versions)}"
            self.ledger.note_update(ids, note)
            self._attempt(
                "call",
                "/update/records",
                table_name=TABLE,
                expressions=[_range(ids)],
                new_values_maps=[{"note": note}],
                records_to_insert=[],
                records_to_insert_str=[],
                record_encoding="json",
                options={},
            )

    def delete(self) -> None:
        """Delete a range of rows."""
        with self.lock:
            ids = self._some_ids()
            for id_ in ids:
                self.ledger.rows[id_].lives = None
            self._attempt("delete", _range(ids))

    def alter_extra(self) -> None:
        """Add the column `extra`, or take it away."""
        with self.lock:
            layout = self.truth()
            if layout is None:
                return
            if layout.extra:
                self.ledger.note_layout_change()
                self._attempt("alter", "delete_column", "extra")
            else:
                self._attempt(
                    "alter",
                    "add_column",
                    "extra",
                    column_type="int",
                    column_properties="int8,nullable",
                )
            self.truth()

    def alter_at(self) -> None:
        """Make `at` a timestamp or a long again, which look the same on the wire."""
        with self.lock:
            layout = self.truth()
            if layout is not None:
                properties = "" if layout.timestamp else "timestamp"
                self._attempt(
                    "alter",
                    "change_column",
                    "at",
                    column_type="long",
                    column_properties=properties,
                )
                self.truth()

    def recreate(self, seconds: float) -> None:
        """Drop the table and make it again after a while."""
        with self.lock:
            self.drops.append(time.time())
            self._attempt("drop")
        time.sleep(seconds)
        with self.lock:
            self.create()

    def recreate_alike(self) -> None:
        """Drop the table and make it again in one step, with nobody able to look in between."""
        with self.lock:
            if self.truth() is not None:
                self.drops.append(time.time())
                self.alike += 1
                self._ring[0].recreate(TABLE)

    # The rest is not a step.

    def create(self) -> None:
        """Make the table."""
        columns = {
            "team": ["int"],
            "id": ["long"],
            "name": ["string", "char32"],
            "at": ["long"],
            "note": ["string", "char16"],
            "rank": ["long", "nullable"],
        }
        for name in self._variant.key:
            columns[name].append("primary_key")
        self._attempt("create", TABLE, columns)
        self.truth()

    def truth(self) -> Layout | None:
        """Return the layout that the table has, None where there is no table."""
        number = self._reachable()
        if number is None:
            return None
        database = self._ring[number].database
        with database.lock:
            table = database.find(TABLE)
            if table is None:
                return None
            kinds = {column.name: column.type for column in table.kind.columns}
        layout = Layout("extra" in kinds, kinds["at"] == "timestamp")
        self.layouts.add(layout)
        return layout

    def present(self) -> list[int]:
        """Return the ids in the table."""
        database = self._ring[0].database
        with database.lock:
            if database.find(TABLE) is None:
                return []
            return [id_ for (id_,) in database.rows.run(f'SELECT "id" FROM "{TABLE}"')]

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        """Insert a few rows all the while, and now and then delete some."""
        over = threading.Event()

        def run() -> None:
            for turn in itertools.count(1):
                if over.wait(_LOAD_PAUSE):
                    return
                self.insert(3)
                if turn % _TURNS_TO_DELETE == 0:
                    self.delete()

        thread = threading.Thread(target=run, name="load")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _reachable(self) -> int | None:
        """Return the first cluster that a program can reach and that has what the ring has."""
        members = [self._ring[i] for i in range(len(self._ring))]
        return next((i for i, member in enumerate(members) if member.reachable), None)

    def _attempt(self, method: str, *arguments: Any, **keywords: Any) -> bool:
        """Ask a cluster to change something; False where it is unknown whether it did."""
        number = self._reachable()
        if number is None:
            return False
        try:
            getattr(self._asks[number], method)(*arguments, **keywords)
        except BridgeError:
            return False
        return True

    def _insert(self, rows: Mapping[int, Row]) -> None:
        self.ledger.rows.update(rows)
        records = [content(id_, row.layout, row.rank) for id_, row in rows.items()]
        accepted = self._attempt("insert", records)
        for row in rows.values():
            row.ended, row.accepted = time.time(), accepted

    def _present_of(self, ids: range) -> list[int]:
        """Return those that are certainly in the table."""
        there = set(self.present())
        return [id_ for id_ in ids if id_ in there and self.ledger.rows[id_].accepted]

    def _some_ids(self) -> range:
        end = len(self.ledger.rows)
        start = self._chance.randrange(end + 1)
        return range(start, min(end, start + 20))


def _one_of(ids: Sequence[int]) -> str:
    return f"id in ({', '.join(map(str, ids))})"


def _range(ids: range) -> str:
    return f"id >= {ids.start} and id < {ids.stop}"
