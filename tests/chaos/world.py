"""A ring of clusters, the service on it, and a program that changes a table while all fails.

`run` carries out a plan, then heals everything, waits until the service is whole, and returns
what the oracle finds wrong.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from chaos.bridges import Bridge, InProcess, OwnProcess, configuration
from chaos.oracle import Outcome, read_events, violations
from chaos.plans import Step
from chaos.program import TableProgram
from chaos.variants import Variant
from services.process import wait_until
from services.rig import TABLE
from services.wall_clock import WallClock
from services.webhook import WebhookReceiver

from bridge.monitor.channel import HEARTBEAT_HORIZON
from bridge.monitor.intake import MAX_QUEUED_BYTES
from kinetica_emulator import Emulator
from kinetica_emulator.ring import Ring

_WHOLE_SECONDS = 60.0
_ROWS_BEFORE = 500  # in the table before the service is started, where they are delivered
_TRANSIT_SECONDS = 1.0  # a notification may be on its way for so long before it arrives


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
        self._variant = variant
        self._own_process = own_process
        self._queue_bytes = queue_bytes
        self._ring = Ring(members, delay=0.15 if members > 1 else 0.0)
        self._stack = contextlib.ExitStack()
        self._hook_away = False
        self._received: list[WebhookReceiver] = []
        self._lost = False
        self._transit = _TRANSIT_SECONDS
        self._clock: WallClock | None = None

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self._ring)
            self.program = TableProgram(self._ring, self._variant)
            self._stack.callback(self.program.close)
            self.program.create()
            self.program.insert(_ROWS_BEFORE)
            self._before = len(self.program.ledger.rows)
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
            # What it knows of the table is stored by then: a kill before would leave no trace.
            self._insert_until_heard()
            self._heard_since = time.time()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, plan: Sequence[Step], *, load: bool) -> list[str]:
        """Carry out a plan and heal; return what is wrong then.

        Args:
            plan: what to do.
            load: whether rows are inserted all the while, besides.
        """
        with self.program.load() if load else contextlib.nullcontext():
            for step in plan:
                target = self if hasattr(self, step.name) else self.program
                getattr(target, step.name)(*step.arguments)
                if self.bridge.running:
                    self.bridge.check_accounts()
        return self._settle()

    # Faults.

    def restart(self) -> None:
        """Stop the service, change the table, start it again."""
        self.bridge.stop()
        self.program.insert(5)
        self.bridge.start()

    def rest(self) -> None:
        """Stop the service and start it again, with the table left as it is."""
        self.bridge.stop()
        self.bridge.start()

    def kill(self) -> None:
        """Kill the service, change the table, start it again."""
        self.bridge.kill()
        self.program.insert(5)
        self.bridge.start()

    def recreate_while_down(self, count: int) -> None:
        """Stop the service, make the table again with other rows, start the service again."""
        self.bridge.stop()
        self.program.insert(5)
        self.program.recreate_alike()
        self.program.insert(count)
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
        with self.program.lock:
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

    def _settle(self) -> list[str]:
        self.heal()
        if self.program.truth() is None:
            self.program.create()
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
            present=self.program.present(),
            layouts=self.program.layouts,
            dead_lettered=dead_lettered,
            variant=self._variant,
            heard_since=self._heard_since,
            transit=self._transit,
            drops=self.program.drops,
            alike=self.program.alike,
            lost=self._lost,
            ring=len(self._ring) > 1,
            arrives_by=arrives_by,
            times=(lambda told: [told]) if self._clock is None else self._clock.times,
        )
        return violations(self.program.ledger, outcome)

    def _whole(self) -> bool:
        return self.bridge.whole(closable=self._variant.closable)

    def _insert_until_heard(self) -> None:
        """See that the stream goes on; the last step may not have been noticed yet."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while True:
            self.program.insert(10)
            assert self._ring.wait_replicated(30)
            try:
                wait_until(self._last_arrived, "the last rows arrive", 3.0)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _last_arrived(self) -> bool:
        last = len(self.program.ledger.rows) - 1
        return any(
            event["type"] in ("insert", "read") and event["record"]["id"] == last
            for event in self._events()[-100:]
        )

    def _all_delivered(self) -> bool:
        delivered = {e["record"]["id"] for e in self._events() if e["type"] in ("insert", "read")}
        variant = self._variant
        due = variant.closable, variant.snapshot  # of what was inserted since, and before
        return all(
            id_ in delivered or not due[id_ < self._before] for id_ in self.program.present()
        )

    def _events(self) -> list[dict[str, Any]]:
        return read_events(self.folder / f"{TABLE}.jsonl")
