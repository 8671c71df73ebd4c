"""A ring of clusters, the service on it, and a program that changes a table while all fails.

`run` carries out a plan, then heals everything, waits until the service is whole, and returns
what the oracle finds wrong.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.bridges import Bridge, InProcess, OwnProcess, configuration
from chaos.ledger import Layout, Ledger, Row, content
from chaos.oracle import Outcome, read_events, violations
from chaos.plans import Step
from chaos.variants import Variant
from services.process import wait_until
from services.rig import TABLE, Database
from services.wall_clock import WallClock
from services.webhook import WebhookReceiver

from bridge.errors import BridgeError
from bridge.monitor.channel import HEARTBEAT_HORIZON
from bridge.monitor.intake import MAX_QUEUED_BYTES
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator
from kinetica_emulator.ring import Ring

# A program gives up on a call after this; the service's own time-outs are longer.
_CALL_SECONDS = 1.0
_WHOLE_SECONDS = 60.0
_ROWS_BEFORE = 500  # in the table before the service is started, where they are delivered
_LOAD_PAUSE = 0.01
_TURNS_TO_DELETE = 25
_TRANSIT_SECONDS = 1.0  # a notification may be on its way for so long before it arrives


class Program(Database):
    """The program of a user, which does not wait long for an answer."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._http = Http(emulator.url, Access(), timeout=_CALL_SECONDS)


class World:
    """Everything a run needs. A context manager.

    Args:
        folder: for journal and files.
        variant: what the table is, and how the service is told to watch it.
        members: clusters in the ring.
        own_process: whether the service runs in a process of its own.
        queue_bytes: what may wait in memory for the journal, if it runs in this one.
    """

    def __init__(
        self,
        folder: Path,
        variant: Variant,
        *,
        members: int = 1,
        own_process: bool = False,
        queue_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self.folder = folder
        self.ledger = Ledger()
        self.layouts: set[Layout] = set()
        self._variant = variant
        self._own_process = own_process
        self._queue_bytes = queue_bytes
        self._ring = Ring(members, delay=0.15 if members > 1 else 0.0)
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()  # rows are inserted in one layout at a time
        self._versions = itertools.count(1)
        self._hook_away = False
        self._received: list[WebhookReceiver] = []
        self._chance = random.Random(0)
        self._drops: list[float] = []
        self._alike = 0
        self._lost = False
        self._transit = _TRANSIT_SECONDS
        self._clock: WallClock | None = None

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self._ring)
            self._programs = [
                self._stack.enter_context(contextlib.closing(Program(member)))
                for member in self._members
            ]
            self._create()
            self.insert(_ROWS_BEFORE)
            self._before = len(self.ledger.rows)
            self._hook = self._stack.enter_context(WebhookReceiver())
            self._received.append(self._hook)
            self._hook_port = self._hook.port
            self._stack.callback(self.hook_away)
            table = self._variant.table
            config = configuration(self.folder, self._ring.urls, self._hook.url, table)
            self.bridge: Bridge
            if self._own_process:
                self._clock = WallClock(self.folder)
                self.bridge = OwnProcess(self.folder, config, self._clock.env)
            else:
                self.bridge = InProcess(config, self._queue_bytes)
            self._stack.callback(self.bridge.stop)
            self.bridge.start()
            first = ("live", "snapshotting")
            wait_until(lambda: self.bridge.state() in first, "the first monitors")
            self._heard_since = time.time()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, plan: Sequence[Step], *, load: bool) -> list[str]:
        """Carry out a plan and heal; return what is wrong then.

        Args:
            plan: what to do.
            load: whether rows are inserted all the while, besides.
        """
        with self._load() if load else contextlib.nullcontext():
            for step in plan:
                getattr(self, step.name)(*step.arguments)
                if self.bridge.running:
                    self.bridge.check_accounts()
        return self._settle()

    # Operations.

    def insert(self, count: int) -> None:
        """Insert rows in one call, wherever a cluster takes them."""
        with self._lock:
            layout = self._truth()
            if layout is None:
                return
            ids = self.ledger.next_ids(count)
            self._insert({id_: Row(layout, time.time(), rank=id_) for id_ in ids})

    def lie(self, how: str) -> None:
        """Insert rows whose `rank` does not grow, as it was said to: far too high, low, or null."""
        with self._lock:
            layout = self._truth()
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
        with self._lock:
            layout = self._truth()
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
            if self._truth() == layout and self._attempt("insert", changed):
                for row in rows:
                    row.lives = began, again

    def update(self) -> None:
        """Give a range of rows another note."""
        with self._lock:
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
        with self._lock:
            ids = self._some_ids()
            for id_ in ids:
                self.ledger.rows[id_].lives = None
            self._attempt("delete", _range(ids))

    def alter_extra(self) -> None:
        """Add the column `extra`, or take it away."""
        with self._lock:
            layout = self._truth()
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
            self._truth()

    def alter_at(self) -> None:
        """Make `at` a timestamp or a long again, which look the same on the wire."""
        with self._lock:
            layout = self._truth()
            if layout is not None:
                properties = "" if layout.timestamp else "timestamp"
                self._attempt(
                    "alter",
                    "change_column",
                    "at",
                    column_type="long",
                    column_properties=properties,
                )
                self._truth()

    def recreate(self, seconds: float) -> None:
        """Drop the table and make it again after a while."""
        with self._lock:
            self._drops.append(time.time())
            self._attempt("drop")
        time.sleep(seconds)
        with self._lock:
            self._create()

    def recreate_alike(self) -> None:
        """Drop the table and make it again in one step, with nobody able to look in between."""
        with self._lock:
            if self._truth() is not None:
                self._drops.append(time.time())
                self._alike += 1
                self._members[0].recreate(TABLE)

    # Faults.

    def restart(self) -> None:
        """Stop the service, change the table, start it again."""
        self.bridge.stop()
        self.insert(5)
        self.bridge.start()

    def kill(self) -> None:
        """Kill the service, change the table, start it again."""
        self.bridge.kill()
        self.insert(5)
        self.bridge.start()

    def recreate_while_down(self, count: int) -> None:
        """Stop the service, make the table again with other rows, start the service again."""
        self.bridge.stop()
        self.insert(5)
        self.recreate_alike()
        self.insert(count)
        self.bridge.start()

    def step_clock(self, seconds: int) -> None:
        """Set the wall clock of the service's process."""
        assert self._clock is not None
        self._clock.step(seconds)

    def set_cluster_clock(self, member: int, seconds: float) -> None:
        """Set the wall clock of a cluster, so many seconds ahead of ours."""
        self._member(member).traits.clock_offset = seconds

    def close_monitor_port(self, member: int) -> None:
        """Have a cluster refuse connections to its monitor port, while HTTP goes on."""
        self._member(member).close_monitor_port()

    def mute_monitor_port(self, member: int) -> None:
        """Have a cluster take connections to its monitor port and never shake hands."""
        self._member(member).mute_monitor_port()

    def forbid(self, member: int, permission: str) -> None:
        """Have a cluster forbid something to everybody."""
        self._member(member).forbid(permission)

    def delay(self, member: int, seconds: float) -> None:
        """Have a cluster publish everything late."""
        self._member(member).delay_notifications(seconds)
        self._transit = _TRANSIT_SECONDS + 2 * seconds

    def lose(self, member: int, changes: int) -> None:
        """Have a cluster store the next rows without publishing them."""
        self._lost = True
        self._member(member).skip_notifications(changes, events=["insert"])

    def stop_cluster(self, member: int) -> None:
        """Stop a cluster."""
        self._member(member).stop()

    def fail(self, member: int, endpoints: tuple[str, ...], after: bool) -> None:
        """Have a cluster answer 500."""
        self._member(member).fail(500, endpoints, after=after)

    def hang(self, member: int, endpoints: tuple[str, ...], after: bool) -> None:
        """Have a cluster not answer."""
        self._member(member).hang(endpoints, after=after)

    def drop_requests(self, member: int, endpoints: tuple[str, ...], after: bool) -> None:
        """Have a cluster close connections instead of answering."""
        self._member(member).drop_requests(endpoints, after=after)

    def drop_connections(self, member: int) -> None:
        """Cut all connections of a cluster."""
        self._member(member).drop_connections()

    def forget_monitors(self, member: int) -> None:
        """Have a cluster lose its table monitors."""
        self._member(member).forget_monitors()

    def go_silent(self, member: int) -> None:
        """Cut a cluster off, until the service has left it or its heartbeats have failed.

        A shorter cut loses nothing on a real network, where it is sent again.
        """
        cluster = self._member(member)
        if not cluster.running:
            return
        cluster.go_silent()
        until = time.monotonic() + HEARTBEAT_HORIZON + 2.0
        while self.bridge.running and self.bridge.cluster() == cluster.url:
            if time.monotonic() > until:
                return
            time.sleep(0.05)

    def drain(self, member: int) -> None:
        """Have a cluster say that it is catching up."""
        cluster = self._member(member)
        if cluster.running:
            cluster.drain()

    def publish_garbage(self) -> None:
        """Publish what is no record on the service's own topics."""
        for cluster in self._members:
            with cluster.database.lock:
                topics = [monitor.topic_id for monitor in cluster.database.monitors.all()]
            for topic in topics:
                cluster.publish(topic, [b"\xff" * 9])

    def hook_away(self) -> None:
        """Have the webhook's receiver not listen."""
        self._hook.stop()
        self._hook_away = True

    def heal(self) -> None:
        """End all faults."""
        with self._lock:
            for cluster in self._members:
                cluster.heal()
                cluster.start()
            assert self._ring.wait_replicated(30)
        if self._hook_away:
            self._hook_away = False
            self._hook = WebhookReceiver(port=self._hook_port)
            self._hook.__enter__()
            self._received.append(self._hook)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    # The rest is not a step.

    @property
    def _members(self) -> list[Emulator]:
        return [self._ring[i] for i in range(len(self._ring))]

    def _member(self, number: int) -> Emulator:
        return self._ring[number % len(self._ring)]

    def _reachable(self) -> int | None:
        """Return the first cluster that a program can reach and that has what the ring has."""
        return next((i for i, member in enumerate(self._members) if member.reachable), None)

    def _attempt(self, method: str, *arguments: Any, **keywords: Any) -> bool:
        """Ask a cluster to change something; False where it is unknown whether it did."""
        number = self._reachable()
        if number is None:
            return False
        try:
            getattr(self._programs[number], method)(*arguments, **keywords)
        except BridgeError:
            return False
        return True

    def _insert(self, rows: Mapping[int, Row]) -> None:
        self.ledger.rows.update(rows)
        records = [content(id_, row.layout, row.rank) for id_, row in rows.items()]
        accepted = self._attempt("insert", records)
        for row in rows.values():
            row.ended, row.accepted = time.time(), accepted

    def _create(self) -> None:
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
        self._truth()

    def _truth(self) -> Layout | None:
        """Return the layout that the table has, None where there is no table."""
        number = self._reachable()
        if number is None:
            return None
        database = self._members[number].database
        with database.lock:
            table = database.find(TABLE)
            if table is None:
                return None
            kinds = {column.name: column.type for column in table.kind.columns}
        layout = Layout("extra" in kinds, kinds["at"] == "timestamp")
        self.layouts.add(layout)
        return layout

    def _present_of(self, ids: range) -> list[int]:
        """Return those that are certainly in the table."""
        there = set(self._present())
        return [id_ for id_ in ids if id_ in there and self.ledger.rows[id_].accepted]

    def _some_ids(self) -> range:
        end = len(self.ledger.rows)
        start = self._chance.randrange(end + 1)
        return range(start, min(end, start + 20))

    @contextlib.contextmanager
    def _load(self) -> Iterator[None]:
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

    def _settle(self) -> list[str]:
        self.heal()
        if self._truth() is None:
            self._create()
        self.bridge.start()
        assert self._ring.wait_replicated(30)
        arrives_by = time.time() if len(self._ring) > 1 else None
        try:
            wait_until(self._whole, "the service is whole", _WHOLE_SECONDS)
            self._insert_until_heard()
            wait_until(self._whole, "the service is whole again", _WHOLE_SECONDS)
            if self._lost or self._variant.snapshot:
                with contextlib.suppress(AssertionError):  # the oracle says which did not
                    wait_until(
                        self._all_delivered,
                        "what was not published, or a snapshot brings",
                        _WHOLE_SECONDS,
                    )
                wait_until(self._whole, "the service is whole at last", _WHOLE_SECONDS)
        except AssertionError as error:
            return [f"{error}: {self.bridge.shown()}"]
        self.bridge.check_accounts()
        dead_lettered = self.bridge.dead_lettered()
        self.bridge.stop()
        outcome = Outcome(
            events=self._events(),
            posted=[event for hook in self._received for event in hook.accepted],
            present=self._present(),
            layouts=self.layouts,
            dead_lettered=dead_lettered,
            variant=self._variant,
            heard_since=self._heard_since,
            transit=self._transit,
            drops=self._drops,
            alike=self._alike,
            lost=self._lost,
            ring=len(self._ring) > 1,
            arrives_by=arrives_by,
            times=(lambda told: [told]) if self._clock is None else self._clock.times,
        )
        return violations(self.ledger, outcome)

    def _whole(self) -> bool:
        return self.bridge.whole(closable=self._variant.closable)

    def _insert_until_heard(self) -> None:
        """See that the stream goes on; the last step may not have been noticed yet."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while True:
            self.insert(10)
            assert self._ring.wait_replicated(30)
            try:
                wait_until(self._last_arrived, "the last rows arrive", 3.0)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _last_arrived(self) -> bool:
        last = len(self.ledger.rows) - 1
        return any(
            event["type"] in ("insert", "read") and event["record"]["id"] == last
            for event in self._events()[-100:]
        )

    def _all_delivered(self) -> bool:
        delivered = {e["record"]["id"] for e in self._events() if e["type"] in ("insert", "read")}
        variant = self._variant
        due = variant.closable, variant.snapshot  # of what was inserted since, and before
        return all(id_ in delivered or not due[id_ < self._before] for id_ in self._present())

    def _events(self) -> list[dict[str, Any]]:
        return read_events(self.folder / f"{TABLE}.jsonl")

    def _present(self) -> list[int]:
        database = self._members[0].database
        with database.lock:
            if database.find(TABLE) is None:
                return []
            return [id_ for (id_,) in database.rows.run(f'SELECT "id" FROM "{TABLE}"')]


def _one_of(ids: Sequence[int]) -> str:
    return f"id in ({', '.join(map(str, ids))})"


def _range(ids: range) -> str:
    return f"id >= {ids.start} and id < {ids.stop}"
