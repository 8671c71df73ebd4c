"""Where one trouble is played: clusters, a load, the contenders side by side."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.compare.contenders import Client, Contender, Service, Told
from benchmarks.compare.measure import Result, is_settled, is_whole, result
from benchmarks.compare.watched import Database, Load
from kinetica_emulator import Emulator, Ring
from tests.services.process import free_port, wait_until
from tests.services.wall_clock import WallClock

VENDOR = "vendor's client"
VENDOR_ALERT = "vendor's client, 6 s"
OURS = "our client"
SERVICE = "our service"

# Minutes; the vendor's client asks whether its table exists after so much silence.
ALERT_MINUTES = 0.1
# Seconds of load before the trouble, and the least after it that everybody is watched.
WARM_SECONDS = 2.0
LEAST_SECONDS = 8.0
# Seconds for which it must have heard everything to count as hearing again.
HEARING_SECONDS = 4.0
# Seconds that everybody has to work off what was received, as long as it does.
WORKING_SECONDS = 120.0
# Seconds that the service has after the load for what it still has to read.
READING_SECONDS = 60.0
START_SECONDS = 60.0


@dataclass(slots=True)
class Settings:
    """What a scenario sets otherwise than by default.

    Attributes:
        clusters: how many; more than one are a ring.
        mode: what clients do with a record that does not decode.
        table: of the service, beside the name and `catch_up`.
        raise_every: see `client_program`.
        busy_seconds: how long callback and receiver work on a record.
        contenders: who takes part.
        clock: whether their wall clock can be set.
    """

    clusters: int = 1
    mode: str = "SKIP"
    table: dict[str, Any] = field(default_factory=dict)
    raise_every: int = 0
    busy_seconds: float = 0.0
    contenders: tuple[str, ...] = (VENDOR, VENDOR_ALERT, OURS, SERVICE)
    clock: bool = False


class Stage:
    """One trouble from its preparation to its results. A context manager.

    Args:
        folder: of its own.
        settings: what differs from the defaults.
        patience: seconds for which contenders are watched that do not hear.
    """

    def __init__(self, folder: Path, settings: Settings, patience: float) -> None:
        self._settings = settings
        self._patience = patience
        self._open = contextlib.ExitStack()
        # Clusters of one ring share their ports, as the vendor's client has it.
        port, monitor_port = free_port(), free_port()
        self.clusters: list[Emulator]
        self.ring: Ring | None = None
        if settings.clusters > 1:
            self.ring = self._open.enter_context(
                Ring(settings.clusters, delay=0.1, port=port, monitor_port=monitor_port)
            )
            self.clusters = [self.ring[number] for number in range(len(self.ring))]
        else:
            self.clusters = [
                self._open.enter_context(Emulator(port=port, monitor_port=monitor_port))
            ]
        self.databases = [Database(cluster) for cluster in self.clusters]
        for database in self.databases:
            self._open.callback(database.close)
        self.database = self.databases[0]
        self.database.create()
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = WallClock(folder) if settings.clock else None
        self.contenders: list[Contender] = [
            self._contender(name, folder / str(number))
            for number, name in enumerate(settings.contenders)
        ]
        for contender in self.contenders:
            self._open.callback(contender.stop)
        self.load = Load(self.database.insert)
        self._open.callback(self.load.stop)
        self.trouble_at = 0
        self.remarks: dict[str, str] = {}
        # Of each contender how many rows it was told, and since when it is that many.
        self._heard: dict[str, tuple[int, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def _contender(self, name: str, folder: Path) -> Contender:
        settings = self._settings
        urls = [cluster.url for cluster in self.clusters]
        env = self.clock.env if self.clock is not None else {}
        if name == SERVICE:
            table = {"catch_up": {"column": "id"}, **settings.table}
            return Service(name, folder, env, {"urls": urls}, table, settings.busy_seconds)
        options: dict[str, Any] = {}
        if name != OURS:
            options["monitor_port"] = self.clusters[0].monitor_port
        if name == VENDOR_ALERT:
            options["inactivity_timeout"] = ALERT_MINUTES
        client = {
            "module": "bridge.monitor" if name == OURS else "gpudb",
            "urls": urls,
            "options": options,
            "mode": settings.mode,
            "raise_every": settings.raise_every,
            "busy_seconds": settings.busy_seconds,
        }
        return Client(name, folder, env, client)

    def start(self) -> None:
        """Start the contenders."""
        for contender in self.contenders:
            contender.start()

    def listen(self) -> None:
        """Start the contenders and wait until all of them listen for certain."""
        self.start()
        for contender in self.contenders:
            wait_until(
                lambda each=contender: each.ready, f"{contender.name} listens", START_SECONDS
            )
        wait_until(
            lambda: len(self.database.topics()) >= len(self.contenders), "insert monitors", 30.0
        )
        for topic in self.database.topics():
            self.database.cluster.wait_for_subscriber(topic)

    def begin(self) -> None:
        """Let everybody listen, and rows arrive for a moment."""
        self.listen()
        self.begin_load()
        self.pause(WARM_SECONDS)

    def begin_load(self) -> None:
        """Insert from now on."""
        self.load.start()

    def pause(self, seconds: float) -> None:
        """Let the load go on for some time."""
        time.sleep(seconds)

    def trouble(self) -> None:
        """Note that the trouble begins now."""
        self.trouble_at = time.monotonic_ns()

    def watch(self, patience: float | None = None) -> None:
        """Let the load go on until there is nothing more to be seen, or patience ends."""
        began = time.monotonic()
        wait_until_quietly(
            lambda: time.monotonic() - began > LEAST_SECONDS and self._all_settled(),
            self._patience if patience is None else patience,
        )

    def watch_service(self, patience: float) -> None:
        """Let the load go on until the service has told all rows of now, or patience ends."""
        self.pause(LEAST_SECONDS)
        known, in_table = dict(self.load.rows), self.database.ids()

        def whole() -> bool:
            services = [each for each in self.contenders if each.name == SERVICE]
            for service in services:
                service.read()
            return all(is_whole(service.told, known, in_table) for service in services)

        wait_until_quietly(whole, patience)

    def _all_settled(self) -> bool:
        now = time.monotonic_ns()
        published = dict(self.load.rows)
        for contender in self.contenders:
            contender.read()
        return all(
            is_settled(each.told, published, now, HEARING_SECONDS) for each in self.contenders
        )

    def _is_silent(self, contender: Contender) -> bool:
        """Say whether it was told nothing for a while."""
        now = time.monotonic()
        known = len(contender.told.rows), now
        before = self._heard.setdefault(contender.name, known)
        if before[0] != known[0]:
            self._heard[contender.name] = known
        return now - self._heard[contender.name][1] > HEARING_SECONDS

    def finish(self) -> list[Result]:
        """End the load, let what is under way arrive, and count."""
        self.load.stop()
        in_table = self.databases[-1].ids()
        published = dict(self.load.rows)
        published |= {n: at for n, at in self.load.doubtful.items() if n in in_table}
        doubtful = self.load.doubtful.keys()
        services = [each for each in self.contenders if each.name == SERVICE]

        def whole(contender: Contender) -> bool:
            contender.read()
            return is_whole(contender.told, published, in_table)

        wait_until_quietly(
            lambda: all(whole(each) or self._is_silent(each) for each in self.contenders),
            WORKING_SECONDS,
        )
        wait_until_quietly(lambda: all(map(whole, services)), READING_SECONDS)
        for contender in self.contenders:
            contender.read()
        return [
            result(
                each.name,
                each.told,
                published,
                in_table,
                doubtful,
                self.trouble_at,
                "; ".join(filter(None, (self.remarks.get(each.name), _starts(each.told)))),
            )
            for each in self.contenders
        ]


def _starts(told: Told) -> str:
    """Say how often it could not start, and why first."""
    if not told.not_started:
        return ""
    times = "once" if len(told.not_started) == 1 else f"{len(told.not_started)} times"
    reason = told.not_started[0].splitlines()[0]
    return f"could not start {times}: {reason[:100]}{'…' * (len(reason) > 100)}"


def wait_until_quietly(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, for so long at most."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
