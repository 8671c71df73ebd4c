"""The troubles, one function each: prepare, break, watch, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.compare.contenders import Service
from benchmarks.compare.measure import Result
from benchmarks.compare.stage import (
    OURS,
    SERVICE,
    VENDOR,
    WARM_SECONDS,
    WORKING_SECONDS,
    Settings,
    Stage,
)
from benchmarks.compare.watched import TABLE, encode
from bridge.errors import BridgeError

Play = Callable[[Stage], list[Result]]

BURST_ROWS = 1_000_000
# Seconds a consumer works on each record of the burst.
BURST_BUSY_SECONDS = 20e-6
_CHUNK = 10_000
RAISE_EVERY = 1_000
DOWN_SECONDS = 3.0
SILENT_SECONDS = 25.0
NOT_UP_SECONDS = 8.0
LOW_ROWS = 200
LOST_INSERTS = 10  # of 20 rows each
# What the service says it needs at most to find what nobody reported.
AUDIT_SECONDS = 300.0
# Numbers of the rows of the other table, which nobody asked for.
OTHERS = 10**9
# A frame that no layout fits: a number that does not end.
GARBAGE = b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One trouble.

    Attributes:
        name: on the command line.
        title: in the report.
        play: does it, and counts.
        settings: what differs from the defaults.
        apart: whether contenders take turns, each with a cluster of its own.
    """

    name: str
    title: str
    play: Play
    settings: Settings = field(default_factory=Settings)
    apart: bool = False


def primary_killed(stage: Stage) -> list[Result]:
    """The primary of a ring is gone for good; what inserts goes on with the second cluster."""
    stage.begin()
    primary, second = stage.databases

    def put(numbers: Sequence[int]) -> None:
        try:
            primary.insert(numbers)
        except BridgeError:
            stage.load.put = second.insert
            raise

    stage.load.put = put
    stage.trouble()
    primary.cluster.stop()
    stage.watch()
    return stage.finish()


def half_open(stage: Stage) -> list[Result]:
    """No packet of the cluster's passes for 25 s; somebody else's rows still reach it."""
    stage.load.put = stage.database.insert_inside
    stage.begin()
    stage.trouble()
    stage.database.cluster.go_silent()
    stage.pause(SILENT_SECONDS)
    stage.database.cluster.heal()
    stage.watch()
    return stage.finish()


def monitor_cleared(stage: Stage) -> list[Result]:
    """All table monitors vanish on the server, silently."""
    stage.begin()
    stage.trouble()
    stage.database.cluster.forget_monitors()
    stage.watch()
    return stage.finish()


def _altered(statement: str) -> Play:
    def play(stage: Stage) -> list[Result]:
        stage.begin()
        stage.trouble()
        stage.database.execute(statement)
        stage.watch()
        return stage.finish()

    return play


def dropped_and_made_again(stage: Stage) -> list[Result]:
    """The table is dropped, and 20 ms later there is one of the same name and columns."""
    stage.begin()
    stage.trouble()
    stage.database.drop()
    stage.database.create()
    stage.watch()
    return stage.finish()


def dropped_for_a_while(stage: Stage) -> list[Result]:
    """The table is dropped, and made again after 10 s."""
    stage.begin()
    stage.trouble()
    stage.database.drop()
    stage.pause(10.0)
    stage.database.create()
    stage.watch()
    return stage.finish()


def recreated_alike(stage: Stage) -> list[Result]:
    """The table is another one of the same name and layout, with nobody able to look in between."""
    stage.begin()
    stage.trouble()
    stage.database.cluster.recreate(TABLE)
    stage.watch()
    return stage.finish()


def recreated_while_down(stage: Stage) -> list[Result]:
    """All are stopped; the table is made again, with keys below those heard; all are started."""
    low, insert = stage.load.take(LOW_ROWS), stage.load.put
    stage.begin()
    stage.load.put = _refused
    for contender in stage.contenders:
        contender.end()
    stage.trouble()
    stage.database.cluster.recreate(TABLE)
    stage.load.rows |= dict.fromkeys(low, time.monotonic_ns())
    stage.database.insert(low)
    stage.load.put = insert
    for contender in stage.contenders:
        contender.start_again()
    stage.watch()
    return stage.finish()


def _refused(numbers: Sequence[int]) -> None:
    raise BridgeError(f"{len(numbers)} rows are not inserted now")


def lost_at_the_publisher(stage: Stage) -> list[Result]:
    """The cluster stores 200 rows and publishes none of them, without a word to anybody."""
    stage.begin()
    stage.trouble()
    stage.database.cluster.skip_notifications(LOST_INSERTS, [TABLE], ["insert"])
    stage.watch_service(AUDIT_SECONDS)
    return stage.finish()


def clock_set_back(stage: Stage) -> list[Result]:
    """The wall clock of all contenders is set back by ten minutes; then the table is altered."""
    stage.begin()
    assert stage.clock is not None
    stage.clock.step(-600)
    stage.pause(WARM_SECONDS)
    stage.trouble()
    stage.database.execute(f"ALTER TABLE {TABLE} ADD extra int")
    stage.watch()
    return stage.finish()


def callback_raises(stage: Stage) -> list[Result]:
    """From row 1,000 on the callback raises at every thousandth."""
    stage.begin()
    while RAISE_EVERY not in stage.load.rows:
        stage.pause(0.1)
    stage.trouble_at = stage.load.rows[RAISE_EVERY]
    stage.watch()
    return stage.finish()


def _publish_garbage(stage: Stage) -> None:
    """Publish two rows to everybody, in one notification with garbage between them."""
    first, second = stage.load.take(2)
    stage.trouble()
    stage.load.rows |= dict.fromkeys((first, second), time.monotonic_ns())
    stage.database.insert_unpublished((first, second))
    for topic in stage.database.topics():
        stage.database.cluster.publish(topic, [encode(first), GARBAGE, encode(second)])


def undecodable_skipped(stage: Stage) -> list[Result]:
    """A record that does not decode, between two that do; to be skipped, or set aside."""
    stage.begin()
    _publish_garbage(stage)
    stage.watch()
    for contender in stage.contenders:
        if isinstance(contender, Service):
            kept = contender.metric("sink_dead_lettered_events_total")
            stage.remarks[contender.name] = f"{kept:.0f} record in its dead letters"
    return stage.finish()


def undecodable_aborts(stage: Stage) -> list[Result]:
    """The same, to end the monitoring; after 5 s every program is started again."""
    stage.begin()
    _publish_garbage(stage)
    stage.pause(5.0)
    for contender in stage.contenders:
        contender.end()
        contender.start_again()
    stage.watch()
    return stage.finish()


def burst(stage: Stage) -> list[Result]:
    """A million rows at full speed, one a notification, to a consumer that works 20 us on each.

    The usual load follows it.
    """
    stage.listen()
    (topic,) = stage.database.topics()
    publish = stage.database.cluster.publish
    stage.trouble()
    for _ in range(0, BURST_ROWS, _CHUNK):
        numbers = stage.load.take(_CHUNK)
        stage.database.insert_unpublished(numbers)
        stage.load.rows |= dict.fromkeys(numbers, time.monotonic_ns())
        for number in numbers:
            publish(topic, [encode(number)])
    stage.database.cluster.wait_published(60.0)
    seconds = (time.monotonic_ns() - stage.trouble_at) / 1e9
    (contender,) = stage.contenders
    stage.remarks[contender.name] = f"published in {seconds:.0f} s"
    stage.begin_load()
    stage.watch(WORKING_SECONDS)
    return stage.finish()


def topics_share_a_prefix(stage: Stage) -> list[Result]:
    """Another table has a monitor whose topic begins as ours; both tables get the same load."""
    stage.listen()
    other = f"{TABLE}_v2"
    stage.database.create(other)
    for topic in stage.database.topics():
        stage.database.call(
            "/create/tablemonitor",
            table_name=other,
            options={"event": "insert", "monitor_id": f"{topic}_v2"},
        )

    def put(numbers: Sequence[int]) -> None:
        stage.database.insert(numbers)
        stage.database.insert([OTHERS + number for number in numbers], other)

    stage.load.put = put
    stage.trouble()
    stage.begin_load()
    stage.watch()
    return stage.finish()


def cluster_restarts(stage: Stage) -> list[Result]:
    """The only cluster is down for 3 s, and comes back with its monitors."""
    stage.begin()
    stage.trouble()
    stage.database.cluster.stop()
    stage.pause(DOWN_SECONDS)
    stage.database.cluster.start()
    stage.watch()
    return stage.finish()


def started_before_the_cluster(stage: Stage) -> list[Result]:
    """Everybody is started 8 s before the cluster; rows are inserted as soon as it is up."""
    stage.database.cluster.stop()
    stage.start()
    stage.pause(NOT_UP_SECONDS)
    stage.database.cluster.start()
    stage.trouble()
    stage.begin_load()
    stage.watch()
    return stage.finish()


_IN_A_RING = Settings(clusters=2)
_ABORT = Settings(mode="ABORT", table={"on_decode_failure": "abort"})
_BURST = Settings(busy_seconds=BURST_BUSY_SECONDS, contenders=(VENDOR, OURS, SERVICE))

SCENARIOS = (
    Scenario("primary-killed", "primary killed under load", primary_killed, _IN_A_RING),
    Scenario("half-open", "network half open for 25 s", half_open),
    Scenario("monitor-cleared", "monitors cleared on the server", monitor_cleared),
    Scenario(
        "column-at-end",
        "table altered: column added at the end",
        _altered(f"ALTER TABLE {TABLE} ADD extra int"),
    ),
    Scenario(
        "column-in-middle",
        "table altered: column added in the middle",
        _altered(f"ALTER TABLE {TABLE} ADD extra int AFTER label"),
    ),
    Scenario(
        "type-same-size",
        "table altered: long becomes timestamp",
        _altered(f"ALTER TABLE {TABLE} ALTER COLUMN at timestamp NOT NULL"),
    ),
    Scenario("dropped-at-once", "table dropped and made again at once", dropped_and_made_again),
    Scenario("dropped-10s", "table dropped, made again after 10 s", dropped_for_a_while),
    Scenario("recreated-alike", "table made again alike, in one step", recreated_alike),
    Scenario("recreated-down", "table made again while all were down", recreated_while_down),
    Scenario("lost-at-publisher", "200 rows stored and not published", lost_at_the_publisher),
    Scenario(
        "clock-set-back",
        "clock set back 10 minutes, then table altered",
        clock_set_back,
        Settings(clock=True),
    ),
    Scenario(
        "callback-raises",
        "callback raises, once in 1,000 rows",
        callback_raises,
        Settings(raise_every=RAISE_EVERY),
    ),
    Scenario("undecodable-skip", "undecodable record, SKIP", undecodable_skipped),
    Scenario(
        "undecodable-abort",
        "undecodable record, ABORT; restarted after 5 s",
        undecodable_aborts,
        _ABORT,
    ),
    Scenario("burst", "burst of 1,000,000 rows, slow consumer", burst, _BURST, apart=True),
    Scenario("prefix", "another table's topic begins alike", topics_share_a_prefix),
    Scenario("cluster-restarts", "cluster restarts, 3 s", cluster_restarts),
    Scenario(
        "cluster-late",
        "started 8 s before the cluster",
        started_before_the_cluster,
        Settings(table={"snapshot": "initial"}),
    ),
)
