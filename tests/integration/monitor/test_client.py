"""The library's client on an emulated cluster: what is told, when, and how it starts and ends."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import gpudb
import pytest
from services.callbacks import Heard

from bridge.monitor import Callback, Client, GPUdbTableMonitor, NotLive, Options
from kinetica_emulator import Emulator

COLUMNS = [["id", "int", "primary_key"], ["s", "string", "char8", "nullable"]]
PATIENCE = 30.0
# Where the shortest patience is wanted: a start that cannot succeed.
SHORT = {"max_retries": 1, "wait_interval": 1}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def db(emulator: Emulator) -> gpudb.GPUdb:
    return gpudb.GPUdb(host=emulator.url)


@pytest.fixture
def table(db: gpudb.GPUdb) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable(COLUMNS, name="orders", db=db)


def monitors(emulator: Emulator) -> list[str]:
    """Return the events for which the cluster has table monitors."""
    with emulator.database.lock:
        return sorted(monitor.event for monitor in emulator.database.monitors.all())


def topic(emulator: Emulator, event: str) -> str:
    with emulator.database.lock:
        found = [m.topic_id for m in emulator.database.monitors.all() if m.event == event]
    assert len(found) == 1
    return found[0]


def test_every_callback_is_told_what_the_seed_says(
    emulator: Emulator, db: gpudb.GPUdb, table: gpudb.GPUdbTable
) -> None:
    """Record as dict and as bytes, counts as int, the table's name once altered and dropped."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), Options({"inactivity_timeout": 0.01})):
        table.insert_records([[1, "one"], [2, None]])
        table.update_records(["id = 1"], [{"s": "'x'"}])
        table.delete_records(["id > 0"])
        heard.until("DELETED")
        db.alter_table("orders", "add_column", "n", {"column_type": "int"})
        heard.until("TABLE_ALTERED")
        heard.until("ERROR", having="altered")
        db.clear_table("orders")
        heard.until("TABLE_DROPPED")

    assert heard.all("INSERT_DECODED") == [{"id": 1, "s": "one"}, {"id": 2, "s": None}]
    assert [list(record) for record in heard.all("INSERT_DECODED")] == [["id", "s"]] * 2
    assert heard.all("INSERT_RAW") == [b"\x02\x00\x06one", b"\x04\x02"]
    assert heard.all("UPDATED") == [1]
    assert heard.all("DELETED") == [2]
    assert heard.all("TABLE_ALTERED") == ["orders"]
    assert heard.all("TABLE_DROPPED") == ["orders"]


def test_a_subclass_passes_its_methods(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """A class derived from GPUdbTableMonitor.Client, written as for the vendor's, works."""
    heard = Heard()

    class Listener(GPUdbTableMonitor.Client):
        def __init__(self, db: Any, table_name: str, options: Any = None) -> None:
            callbacks = [
                GPUdbTableMonitor.Callback(
                    GPUdbTableMonitor.Callback.Type.INSERT_DECODED,
                    self.on_insert,
                    self.on_error,
                    GPUdbTableMonitor.Callback.InsertDecodedOptions(
                        GPUdbTableMonitor.Callback.InsertDecodedOptions.DecodeFailureMode.ABORT
                    ),
                )
            ]
            super().__init__(db, table_name, callback_list=callbacks, options=options)
            self.count = 0

        def on_insert(self, record: dict[str, Any]) -> None:
            self.count += 1
            self._logger.info("record %s", record)
            heard.callbacks("INSERT_DECODED")[0].event_callback(record)  # type: ignore[misc]

        def on_error(self, message: str) -> None:
            heard.error(message)

    listener = Listener(table.db, table.name, GPUdbTableMonitor.Options())
    listener.start_monitor()
    table.insert_records([[1, "one"]])
    heard.until("INSERT_DECODED")
    listener.stop_monitor()

    assert listener.count == 1
    assert heard.all("ERROR") == []


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("INSERT_RAW",), ["insert"]),
        (("INSERT_RAW", "INSERT_DECODED"), ["insert"]),
        (("UPDATED", "TABLE_DROPPED"), ["update"]),
        (("DELETED", "INSERT_DECODED", "TABLE_ALTERED"), ["delete", "insert"]),
    ],
)
def test_only_what_somebody_hears_of_is_monitored(
    emulator: Emulator, table: gpudb.GPUdbTable, kinds: tuple[str, ...], expected: list[str]
) -> None:
    """The cluster gets a table monitor for each kind of event with a callback, and no other."""
    with Client(emulator.url, "orders", Heard().callbacks(*kinds)):
        assert monitors(emulator) == expected
    assert monitors(emulator) == []


def test_kinetica_can_be_named_in_many_ways(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """A URL, a list, comma text, a bare host and port, or the vendor's object: all connect."""
    ways = [
        emulator.url,
        emulator.url.removeprefix("http://"),
        [emulator.url],
        f"{emulator.url}, http://127.0.0.1:1",
        table.db,
    ]
    for n, db in enumerate(ways):
        heard = Heard()
        with Client(db, "orders", heard.callbacks("INSERT_RAW")) as client:
            assert client.full_url == emulator.url
            table.insert_records([[n, None]])
            heard.until("INSERT_RAW")


def test_credentials_come_with_the_url_or_the_object() -> None:
    """User and password are taken from either; without them the start says that they lack."""
    with Emulator(username="ann", password="s/crét") as emulator:
        db = gpudb.GPUdb(host=emulator.url, username="ann", password="s/crét")
        gpudb.GPUdbTable(COLUMNS, name="orders", db=db)
        callbacks = Heard().callbacks("INSERT_RAW")
        url = emulator.url.replace("//", "//ann:s%2Fcr%C3%A9t@")
        for way in (db, url):
            with Client(way, "orders", callbacks) as client:
                assert client.is_monitor_running
                assert "ann" not in client.full_url

        with pytest.raises(NotLive, match="credentials refused"):
            Client(emulator.url, "orders", callbacks, Options(SHORT)).start_monitor()


def test_a_client_starts_once_and_again_after_its_end(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """A second start changes nothing; after a stop it starts anew, and misses nothing then."""
    heard = Heard()
    client = Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"))
    assert not client.is_monitor_running
    assert client.state == "stopped"

    for n in range(2):
        client.start_monitor()
        client.start_monitor()
        assert client.is_monitor_running
        assert client.state == "live"
        assert monitors(emulator) == ["insert"]
        table.insert_records([[n, None]])
        heard.until("INSERT_DECODED", n + 1)
        client.stop_monitor()
        assert not client.is_monitor_running

    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [0, 1]


def test_every_callback_comes_from_one_thread(
    emulator: Emulator, table: gpudb.GPUdbTable, db: gpudb.GPUdb
) -> None:
    """Whatever is told, errors too, is told by the same thread, and not the program's."""
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks()) as client:
        table.insert_records([[1, None]])
        table.update_records(["id = 1"], [{"s": "'x'"}])
        emulator.publish(topic(emulator, "insert"), [b"\xff"])
        emulator.drop_connections()
        heard.until("ERROR", having="disconnected")
        db.clear_table("orders")
        heard.until("TABLE_DROPPED")
        client.wait(PATIENCE)

    assert len(heard.threads) == 1
    assert threading.current_thread() not in heard.threads


def test_stopping_tells_first_what_was_received(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Records that wait behind a slow callback are told before stop_monitor returns."""
    go_on = threading.Event()
    heard = Heard(lambda *_: go_on.wait(PATIENCE))
    client = Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED", "UPDATED"))
    client.start_monitor()
    table.insert_records([[n, None] for n in range(1000)])
    table.update_records(["id = 1"], [{"s": "'x'"}])
    assert emulator.wait_published()

    threading.Timer(0.1, go_on.set).start()
    client.stop_monitor()

    assert len(heard.all("INSERT_DECODED")) == 1000
    assert heard.all("UPDATED") == [1]


def test_what_may_be_missing_at_the_end_is_told_before_it(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Stopped while the cluster is away: the span that was not over is told all the same."""
    heard = Heard()
    often = Options({"inactivity_timeout": 0.01})
    client = Client(emulator.url, "orders", heard.callbacks("UPDATED"), often)
    client.start_monitor()
    emulator.stop()
    heard.until("ERROR", having="deaf")

    client.stop_monitor(timeout=2)

    assert "may have been missed: disconnected" in heard.all("ERROR")[-1]


def test_stopping_is_idempotent_from_several_threads(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Eight threads stop at once, and once more: all return, nothing is left on the cluster."""
    client = Client(emulator.url, "orders", Heard().callbacks())
    client.stop_monitor()
    client.start_monitor()

    threads = [threading.Thread(target=client.stop_monitor) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.stop_monitor()

    assert client.wait(0)
    assert monitors(emulator) == []


def test_a_callback_may_stop_its_client_and_is_the_last(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """stop_monitor in a callback returns at once; of what waited behind it nothing is told."""
    returned = threading.Event()

    def stop(kind: str, value: Any) -> None:
        if value["id"] == 3:
            client.stop_monitor()
            returned.set()

    heard = Heard(stop)
    client = Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"))
    client.start_monitor()

    table.insert_records([[n, None] for n in range(10)])

    assert client.wait(PATIENCE)
    assert returned.is_set()
    assert [record["id"] for record in heard.all("INSERT_DECODED")] == [0, 1, 2, 3]
    assert monitors(emulator) == []


def test_a_callback_that_does_not_return_cannot_hold_up_a_stop(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """stop_monitor gives up on it after its timeout, and nothing is told after it."""
    running, go_on = threading.Event(), threading.Event()

    def hang(kind: str, value: Any) -> None:
        running.set()
        go_on.wait(PATIENCE)

    heard = Heard(hang)
    client = Client(emulator.url, "orders", heard.callbacks("INSERT_DECODED"))
    client.start_monitor()
    table.insert_records([[1, None], [2, None]])
    running.wait(PATIENCE)

    client.stop_monitor(timeout=0.5)
    assert client.wait(PATIENCE)
    assert heard.all("INSERT_DECODED") == []
    assert monitors(emulator) == []

    go_on.set()
    assert [record["id"] for record in heard.until("INSERT_DECODED")] == [1]


def test_a_dropped_table_ends_the_client(
    emulator: Emulator, table: gpudb.GPUdbTable, db: gpudb.GPUdb
) -> None:
    """After TABLE_DROPPED it has stopped by itself; a start says that there is no such table."""
    heard = Heard()
    client = Client(
        emulator.url, "orders", heard.callbacks(), Options({"inactivity_timeout": 0.01})
    )
    client.start_monitor()
    table.insert_records([[1, None]])
    heard.until("INSERT_RAW")

    db.clear_table("orders")

    assert client.wait(PATIENCE)
    assert heard.kinds()[-1] == "TABLE_DROPPED"
    assert not client.is_monitor_running
    with pytest.raises(
        NotLive, match=r"orders cannot be monitored: ki_home\.orders does not exist"
    ):
        client.start_monitor()


def test_a_start_that_cannot_succeed_says_why(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """No cluster, a hanging one, one in trouble, a wrong port: each error names its cause."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    callbacks = Heard().callbacks()

    def start(db: Any, **options: Any) -> None:
        client = Client(db, "orders", callbacks, Options({**SHORT, **options}))
        try:
            client.start_monitor()
        finally:
            assert not client.is_monitor_running
            assert client.wait(0)

    with pytest.raises(NotLive, match=rf"127.0.0.1:{nobody}.*refused.*\(tried for 1 s\)"):
        start(f"http://127.0.0.1:{nobody}")
    with pytest.raises(NotLive, match=rf"tcp://127.0.0.1:{nobody}: no answer"):
        start(emulator.url, monitor_port=nobody)
    emulator.hang()
    with pytest.raises(NotLive, match=re.escape(f"{emulator.url} has not answered yet")):
        start(emulator.url)
    emulator.fail(500, ["/create/tablemonitor"])
    with pytest.raises(NotLive, match=r"/create/tablemonitor.*500"):
        start(emulator.url)
    emulator.heal()
    start_again = Client(emulator.url, "orders", callbacks)
    start_again.start_monitor()
    start_again.stop_monitor()
    assert monitors(emulator) == []


def test_one_error_callback_of_many_callbacks_hears_of_a_trouble_once(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """The same function given six times is told once of what concerns the whole client."""
    heard, other = Heard(), Heard()
    callbacks = [*heard.callbacks(), *other.callbacks("UPDATED")]
    with Client(emulator.url, "orders", callbacks):
        emulator.drop_connections()
        told = heard.until("ERROR", having="may have been missed")
        other.until("ERROR", having="may have been missed")

        assert len(told) == 1
        assert re.fullmatch(
            r"orders: events between \S+Z and \S+Z may have .*: disconnected", *told
        )


def test_two_callbacks_of_one_type_are_both_told(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """None of them replaces the other."""
    one, two = Heard(), Heard()
    callbacks = [*one.callbacks("INSERT_DECODED"), *two.callbacks("INSERT_DECODED")]
    with Client(emulator.url, "orders", callbacks):
        table.insert_records([[7, None]])

        assert one.until("INSERT_DECODED") == two.until("INSERT_DECODED") == [{"id": 7, "s": None}]


def test_a_callback_without_function_hears_of_errors_only(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """An event callback of None makes no monitor; its error callback is told of troubles."""
    heard = Heard()
    callbacks = [
        Callback(Callback.Type.UPDATED, None, heard.error),
        *heard.callbacks("INSERT_RAW"),
    ]
    with Client(emulator.url, "orders", callbacks):
        assert monitors(emulator) == ["insert"]
        emulator.drop_connections()
        heard.until("ERROR", having="may have been missed")
