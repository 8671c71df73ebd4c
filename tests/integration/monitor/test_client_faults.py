"""What goes wrong with the vendor's monitor client, and does not with this one.

The numbers are those of the protocol's list of the vendor's faults (section 7).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import gpudb
import pytest
from services.callbacks import Heard

from bridge.monitor import Callback, Client, MonitoringAborted, NotLive, Options
from kinetica_emulator import Emulator, Ring

COLUMNS = [["id", "int", "primary_key"], ["s", "string", "char8", "nullable"]]
PATIENCE = 30.0
SHORT = {"max_retries": 1, "wait_interval": 1}
# The shortest time between two looks at table and monitors, for tests that await what is seen.
OFTEN = Options({"inactivity_timeout": 0.005})
Mode = Callback.InsertDecodedOptions.DecodeFailureMode


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def ring() -> Iterator[Ring]:
    with Ring(2) as running:
        yield running


@pytest.fixture
def table(emulator: Emulator) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable(COLUMNS, name="orders", db=gpudb.GPUdb(host=emulator.url))


def topics(emulator: Emulator) -> dict[str, str]:
    with emulator.database.lock:
        return {monitor.event: monitor.topic_id for monitor in emulator.database.monitors.all()}


def await_state(client: Client, state: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while client.state != state:
        assert time.monotonic() < deadline, client.state
        time.sleep(0.01)


def make_table(emulator: Emulator, columns: list[list[str]] = COLUMNS) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable(columns, name="orders", db=gpudb.GPUdb(host=emulator.url))


def test_m1_after_a_failover_it_listens_to_the_new_cluster(ring: Ring) -> None:
    """The primary dies: monitors, subscription and events are the second cluster's."""
    table = make_table(ring[0])
    heard = Heard()
    with Client(ring.urls[0], "orders", heard.callbacks("INSERT_DECODED"), OFTEN) as client:
        table.insert_records([[1, "a"]])
        heard.until("INSERT_DECODED")
        assert ring.wait_replicated()

        ring[0].stop()
        heard.until("ERROR", having="failover")
        make_table(ring[1]).insert_records([[2, "b"]])

        heard.until("INSERT_DECODED", 2)
        assert client.full_url == ring.urls[1]
    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [1, 2]


def test_m2_after_a_failover_counts_still_decode(ring: Ring) -> None:
    """Updates and deletes on the second cluster arrive as their numbers, without an error."""
    make_table(ring[0]).insert_records([[1, "a"], [2, "b"]])
    assert ring.wait_replicated()
    heard = Heard()
    with Client(ring.urls, "orders", heard.callbacks("UPDATED", "DELETED"), OFTEN):
        ring[0].stop()
        heard.until("ERROR", having="failover")
        table = make_table(ring[1])
        table.update_records(["id > 0"], [{"s": "'x'"}])
        table.delete_records(["id = 1"])

        assert heard.until("UPDATED") == [2]
        assert heard.until("DELETED") == [1]
    assert not [message for message in heard.all("ERROR") if "decode" in message]


def test_m3_after_a_failover_records_are_read_with_the_new_clusters_layout() -> None:
    """Where the other cluster's table has another layout, that layout counts, and is told."""
    with Emulator() as first, Emulator() as second:
        make_table(first).insert_records([[1, "a"]])
        other = make_table(second, [["s", "string"], ["id", "int"]])
        heard = Heard()
        kinds = ("INSERT_DECODED", "TABLE_ALTERED")
        with Client([first.url, second.url], "orders", heard.callbacks(*kinds), OFTEN):
            first.stop()
            heard.until("ERROR", having="failover")
            other.insert_records([["b", 2]])

            assert heard.until("INSERT_DECODED") == [{"s": "b", "id": 2}]
            assert heard.all("TABLE_ALTERED") == ["orders"]


def test_a_table_that_the_next_cluster_has_not_is_waited_for() -> None:
    """That is no drop: the client goes on, there once it is made there, and back where it was."""
    with Emulator() as first, Emulator() as second:
        make_table(first)
        heard = Heard()
        kinds = ("INSERT_DECODED", "TABLE_DROPPED")
        with Client([first.url, second.url], "orders", heard.callbacks(*kinds), OFTEN) as client:
            first.stop()
            heard.until("ERROR", having=f"ki_home.orders does not exist on {second.url}")
            assert client.is_monitor_running
            assert client.state == "waiting_for_table"

            make_table(second)
            heard.until("ERROR", having="failover")
            table = gpudb.GPUdbTable(None, name="orders", db=gpudb.GPUdb(host=second.url))
            table.insert_records([[1, "b"]])
            heard.until("INSERT_DECODED")
            assert client.full_url == second.url
            assert heard.all("TABLE_DROPPED") == []

            # Here it was seen last: that it is gone is a drop.
            table.db.clear_table("orders")
            heard.until("TABLE_DROPPED")
            assert client.wait(PATIENCE)
    assert heard.kinds()[-1] == "TABLE_DROPPED"


def test_a_table_gone_from_the_standby_alone_leaves_the_client_running() -> None:
    """Away from its cluster and back: nothing is dropped, and it hears what it did before."""
    with Emulator() as first, Emulator() as second:
        table = make_table(first)
        heard = Heard()
        kinds = ("INSERT_DECODED", "TABLE_DROPPED")
        with Client([first.url, second.url], "orders", heard.callbacks(*kinds), OFTEN) as client:
            first.fail(500)
            heard.until("ERROR", having="waiting for table")
            first.heal()
            second.stop()
            heard.until("ERROR", having="missed: failover")
            table.insert_records([[1, "a"]])

            heard.until("INSERT_DECODED")
            assert client.full_url == first.url
    assert heard.all("TABLE_DROPPED") == []


def test_m4_a_drop_is_noticed_within_seconds_by_default(table: gpudb.GPUdbTable) -> None:
    """Nobody waits twenty minutes of silence: default options, and the drop is told."""
    heard = Heard()
    with Client(table.db, "orders", heard.callbacks()) as client:
        table.db.clear_table("orders")

        assert client.wait(PATIENCE)
    assert heard.all("TABLE_DROPPED") == ["orders"]


def test_m5_monitors_that_the_server_lost_are_made_again(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """They vanish without a word; what comes after is heard, and the span between is told."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"), OFTEN):
        emulator.forget_monitors()
        heard.until("ERROR", having="monitor_lost")
        table.insert_records([[1, "a"]])

        heard.until("INSERT_DECODED")


def test_m6_a_drop_is_told_once(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """Three monitors on the table, one TABLE_DROPPED."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), OFTEN) as client:
        assert len(topics(emulator)) == 3

        table.db.clear_table("orders")

        assert client.wait(PATIENCE)
    assert heard.all("TABLE_DROPPED") == ["orders"]


def test_m7_an_undecodable_record_is_skipped(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """SKIP: the error callback gets it with its bytes, the records around it are told."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(mode=Mode.SKIP)) as client:
        emulator.publish(topics(emulator)["insert"], [b"\x02\x02", b"\xff\xff", b"\x04\x02"])
        told = heard.until("ERROR", having="does not decode")
        table.insert_records([[3, None]])
        heard.until("INSERT_DECODED", 3)

        assert client.is_monitor_running
    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [1, 2, 3]
    assert heard.all("INSERT_RAW")[1] == b"\xff\xff"
    assert len(told) == 1
    assert "ffff" in told[0]
    assert topics(emulator) == {}


def test_m7_an_undecodable_record_aborts(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """ABORT: the error callback gets it, then monitoring ends, and waiting for it raises."""
    heard = Heard()
    client = Client(emulator.url, "orders", heard.callbacks(mode=Mode.ABORT))
    client.start_monitor()

    emulator.publish(topics(emulator)["insert"], [b"\x02\x02", b"\xff\xff", b"\x04\x02"])

    with pytest.raises(MonitoringAborted, match="does not decode"):
        client.wait(PATIENCE)
    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [1]
    assert heard.kinds()[-1] == "ERROR"
    assert not client.is_monitor_running
    assert topics(emulator) == {}


@pytest.mark.parametrize("mode", list(Mode))
def test_m7_a_record_of_the_new_layout_decodes_at_the_second_try(
    emulator: Emulator, table: gpudb.GPUdbTable, mode: Mode
) -> None:
    """Altered a moment ago: the record that fits the present layout is told as a record."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(mode=mode)):
        # Nobody learns of the alteration before the record was received.
        emulator.hang(["/show/table"])
        emulator.publish(topics(emulator)["insert"], [b"\x02\x00\x02a\x0e"])
        heard.until("INSERT_RAW")
        table.db.alter_table("orders", "add_column", "n", {"column_type": "int"})
        emulator.heal()

        record = {"id": 1, "s": "a", "n": 7}
        assert heard.until("INSERT_DECODED") == [record]
        heard.until("TABLE_ALTERED")
    assert not [message for message in heard.all("ERROR") if "decode" in message]


def test_m7_a_count_that_does_not_decode_is_an_error_of_its_own(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """The error callback of UPDATED hears of it, nothing stops, not even under ABORT."""
    heard, others = Heard(), Heard()
    callbacks = [
        *heard.callbacks("UPDATED"),
        *others.callbacks("INSERT_DECODED", "DELETED", mode=Mode.ABORT),
    ]
    with Client(emulator.url, "orders", callbacks):
        table.insert_records([[1, None]])
        emulator.publish(topics(emulator)["update"], [b""])
        heard.until("ERROR", having="a notification does not decode")
        table.update_records(["id = 1"], [{"s": "'x'"}])

        assert heard.until("UPDATED") == [1]
    assert others.all("ERROR") == []


def test_m8_the_options_of_decoding_have_a_default_and_can_be_set(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Without event options a bad record is skipped; set while running, the mode counts."""
    heard = Heard()
    options = Callback.InsertDecodedOptions()
    assert options.decode_failure_mode is Mode.SKIP
    hear = heard.callbacks("INSERT_DECODED")[0]
    callbacks = [
        Callback(Callback.Type.INSERT_DECODED, hear.event_callback, hear.error_callback),
        Callback(Callback.Type.INSERT_DECODED, hear.event_callback, event_options=options),
    ]
    with Client(emulator.url, "orders", callbacks) as client:
        emulator.publish(topics(emulator)["insert"], [b"\xff"])
        heard.until("ERROR", having="does not decode")
        assert client.is_monitor_running

        options.decode_failure_mode = Mode.ABORT
        emulator.publish(topics(emulator)["insert"], [b"\xff"])

        with pytest.raises(MonitoringAborted):
            client.wait(PATIENCE)


def test_m9_bytes_left_over_are_no_record(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """A frame that the layout fits but does not consume is an error, never a wrong record."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED")):
        emulator.publish(topics(emulator)["insert"], [b"\x02\x02\x0e"])

        heard.until("ERROR", having="does not decode")
    assert heard.all("INSERT_DECODED") == []


def test_m10_a_callback_that_raises_is_called_once_and_stops_nothing(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Each record once, each failure to the error callback, the next record as if nothing were."""
    calls: list[int] = []

    def fail(kind: str, value: Any) -> None:
        if kind == "INSERT_DECODED":
            calls.append(value["id"])
            if value["id"] == 2:
                raise SystemExit("no more")
            if value["id"] % 2:
                raise LookupError(f"odd {value['id']}")

    heard = Heard(fail)
    with Client(emulator.url, "orders", heard.callbacks(mode=Mode.ABORT)) as client:
        table.insert_records([[n, None] for n in range(6)])
        table.update_records(["id = 1"], [{"s": "'x'"}])
        heard.until("UPDATED")

        assert client.is_monitor_running
    assert calls == list(range(6))
    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [0, 4]
    assert [message.partition(" raised ")[2] for message in heard.all("ERROR")] == [
        "LookupError: odd 1",
        "SystemExit: no more",
        "LookupError: odd 3",
        "LookupError: odd 5",
    ]
    assert len(heard.all("INSERT_RAW")) == 6


def test_m10_an_error_callback_that_raises_stops_nothing(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """It is called once for each error, and what comes after is told."""
    told: list[str] = []

    def fail(value: Any) -> None:
        told.append(str(value))
        raise ValueError("in the error callback too")

    heard = Heard()
    callbacks = [Callback(Callback.Type.INSERT_RAW, fail, fail), *heard.callbacks("UPDATED")]
    with Client(emulator.url, "orders", callbacks):
        table.insert_records([[1, None]])
        table.update_records(["id = 1"], [{"s": "'x'"}])
        heard.until("UPDATED")

    assert len(told) == 2
    assert told[0] == repr(b"\x02\x02")


def test_a_callback_may_run_another_client(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """Started, used and stopped within a callback; the one that calls back goes on after it."""
    inner = Heard()

    def run_another(kind: str, value: Any) -> None:
        if value["id"] == 1:
            with Client(emulator.url, "orders", inner.callbacks("INSERT_DECODED")):
                table.insert_records([[2, None]])
                inner.until("INSERT_DECODED")

    outer = Heard(run_another)
    with Client(emulator.url, "orders", outer.callbacks("INSERT_DECODED")):
        table.insert_records([[1, None]])
        outer.until("INSERT_DECODED", 2)

    assert [record["id"] for record in inner.all("INSERT_DECODED")] == [2]
    assert [record["id"] for record in outer.all("INSERT_DECODED")] == [1, 2]
    assert outer.all("ERROR") == inner.all("ERROR") == []


def test_a_trouble_that_comes_again_behind_a_callback_waits_once(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """What is to be told does not pile up while a callback runs."""
    running, go_on = threading.Event(), threading.Event()

    def hang(kind: str, value: Any) -> None:
        running.set()
        go_on.wait(PATIENCE)

    heard = Heard(hang)
    client = Client(emulator.url, "orders", heard.callbacks("INSERT_RAW"), OFTEN)
    with client:
        table.insert_records([[1, None]])
        running.wait(PATIENCE)
        for _ in range(3):
            emulator.fail(503)
            await_state(client, "deaf")
            emulator.heal()
            await_state(client, "live")
        go_on.set()
        heard.until("INSERT_RAW")

    told = [message for message in heard.all("ERROR") if "deaf" in message]
    assert len(told) == len(set(told))


def test_m11_a_cluster_in_trouble_is_waited_for(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Errors instead of answers end nothing: they are told, and it goes on when they are over."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), OFTEN) as client:
        emulator.fail(500)
        heard.until("ERROR", having="deaf")
        assert client.is_monitor_running

        emulator.heal()
        table.insert_records([[1, None]])

        heard.until("INSERT_DECODED")


def test_m12_a_refused_monitor_is_a_clear_error(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """start_monitor names call and cause where the cluster makes no monitor, and leaves none."""
    emulator.fail(503, ["/create/tablemonitor"])
    client = Client(emulator.url, "orders", Heard().callbacks(), Options(SHORT))

    with pytest.raises(NotLive, match="/create/tablemonitor"):
        client.start_monitor()

    assert topics(emulator) == {}


def test_m13_a_cut_connection_is_made_again(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """Cut five times: each time it comes back, says what it may have missed, and hears again."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"), OFTEN):
        for n in range(5):
            emulator.drop_connections()
            heard.until("ERROR", n + 1, having="may have been missed")
            table.insert_records([[n, None]])
            heard.until("INSERT_DECODED", n + 1)

    assert [record["id"] for record in heard.all("INSERT_DECODED")] == list(range(5))


def test_m13_a_restarted_cluster_is_found_again(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """The database restarts under a running client, which then hears what it did before."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"), OFTEN):
        emulator.restart()
        heard.until("ERROR", having="may have been missed")
        make_table(emulator).insert_records([[1, None]])

        heard.until("INSERT_DECODED")


def test_m14_nothing_published_after_the_start_is_lost(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Twenty starts, each followed at once by twenty inserts: four hundred records."""
    for start in range(20):
        heard = Heard()
        client = Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"))
        client.start_monitor()
        ids = range(20 * start, 20 * start + 20)
        for n in ids:
            table.insert_records([[n, None]])
        heard.until("INSERT_DECODED", len(ids))
        client.stop_monitor()
        assert [record["id"] for record in heard.all("INSERT_DECODED")] == list(ids)


def test_m15_a_slow_callback_loses_nothing(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """40,000 notifications while the first callback still runs: all are told, in order."""
    published = threading.Event()
    heard = Heard(lambda *_: published.wait(PATIENCE))
    with Client(emulator.url, "orders", heard.callbacks("INSERT_RAW")):
        topic = topics(emulator)["insert"]
        frames = [zigzag(n) + b"\x02" for n in range(40_000)]
        for frame in frames:
            emulator.publish(topic, [frame])
        assert emulator.wait_published()
        published.set()

        assert heard.until("INSERT_RAW", len(frames)) == frames
    assert heard.all("ERROR") == []


def test_m15_more_than_memory_may_hold_is_a_gap_that_is_told(emulator: Emulator) -> None:
    """Past the intake's 64 MiB records are lost; the error callback hears of it."""
    make_table(emulator, [["s", "string"]])
    size = 2**20
    frame = zigzag(size) + b"x" * size
    overrun = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "cause=overrun" in record.getMessage():
                overrun.set()

    listener = Listener()
    logging.getLogger("bridge.monitor").addHandler(listener)
    told: list[int] = []

    def take(value: bytes) -> None:
        overrun.wait(PATIENCE)
        told.append(value[-1])

    heard = Heard()
    raw = Callback(Callback.Type.INSERT_RAW, take, heard.error)
    try:
        with Client(emulator.url, "orders", [raw], OFTEN):
            topic = topics(emulator)["insert"]
            for n in range(200):
                emulator.publish(topic, [frame[:-1] + bytes([n])])
            heard.until("ERROR", having="overrun")
    finally:
        logging.getLogger("bridge.monitor").removeHandler(listener)

    assert 64 <= len(told) < 200
    assert told == sorted(set(told))
    assert all("overrun" in message for message in heard.all("ERROR"))


@pytest.mark.parametrize("retries", [0, 1])
def test_m17_a_port_without_zeromq_behind_it_is_an_error(
    emulator: Emulator, table: gpudb.GPUdbTable, retries: int
) -> None:
    """Any TCP listener is not enough: the ZeroMQ handshake has to succeed."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        options = Options({"max_retries": retries, "wait_interval": 1, "monitor_port": port})
        with pytest.raises(NotLive, match=f"tcp://127.0.0.1:{port}: no answer"):
            Client(emulator.url, "orders", Heard().callbacks(), options).start_monitor()


def test_m17_no_retries_are_enough_where_all_is_well(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """max_retries of 0 means one try, which succeeds."""
    options = Options({"max_retries": 0, "wait_interval": 0})
    with Client(emulator.url, "orders", Heard().callbacks(), options) as client:
        assert client.is_monitor_running


def test_m18_a_failing_check_of_the_table_is_an_error_with_its_cause(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """The cause of a start that failed is what the cluster said."""
    emulator.fail(500, ["/show/table"])

    with pytest.raises(NotLive, match=r"/show/table: .*500"):
        Client(emulator.url, "orders", Heard().callbacks(), Options(SHORT)).start_monitor()


def test_m19_a_topic_that_only_begins_alike_is_not_ours(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """ZeroMQ delivers by prefix; records of a longer topic are told to nobody."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks()):
        topic = topics(emulator)["insert"]
        emulator.publish(f"{topic}_v2", [b"\x02\x02"])
        emulator.publish(topic, [b"\x04\x02"])

        assert heard.until("INSERT_DECODED") == [{"id": 2, "s": None}]
    assert heard.all("ERROR") == []


def test_m20_no_monitor_is_left_after_trouble(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """Made, lost, made again, cut off, altered: after the stop the cluster has none of ours."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), OFTEN):
        emulator.forget_monitors()
        heard.until("ERROR", having="monitor_lost")
        emulator.drop_connections()
        heard.until("ERROR", having="disconnected")
        table.db.alter_table("orders", "add_column", "n", {"column_type": "int"})
        heard.until("TABLE_ALTERED")
        heard.until("ERROR", having="altered")
        assert len(topics(emulator)) == 3

    assert topics(emulator) == {}


def test_m21_options_come_back_as_they_went_in() -> None:
    """as_dict gives minutes, which the constructor takes."""
    given = {
        "inactivity_timeout": 0.1,
        "max_retries": 3,
        "wait_interval": 2,
        "monitor_port": 9002,
    }

    assert Options(given).as_dict() == given
    assert Options(Options(given).as_dict()).as_dict() == given
    assert Options().inactivity_timeout == 20


def zigzag(number: int) -> bytes:
    """Write a number, not negative, as Avro does."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
