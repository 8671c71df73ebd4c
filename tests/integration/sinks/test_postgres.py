"""The PostgreSQL sink against a real server: types, keys, repeats, and each kind of no."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import ValidationError
from services.batches import batch_of
from services.postgres import PostgresServer
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.sinks.base import NotConnected
from bridge.sinks.postgres import PostgresSettings, PostgresSink
from bridge.testing import drive, make_event


class Place:
    """A schema of the test's own."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = f"t{uuid.uuid4().hex}"
        server.execute(f"CREATE SCHEMA {self.name}")

    def run(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.server.execute(statement.replace("S.", f"{self.name}."), *parameters)

    def sink(self, **settings: Any) -> PostgresSink:
        values = {
            "type": "postgres",
            "dsn": self.server.dsn,
            "table": f"{self.name}.{{name}}",
            "notifications": f"{self.name}.notifications",
        }
        sink = PostgresSink(PostgresSettings.model_validate(values | settings))
        sink.open()
        return sink


@pytest.fixture
def place(postgres_server: PostgresServer) -> Place:
    return Place(postgres_server)


@pytest.fixture
def own_place() -> Iterator[Place]:
    with PostgresServer() as server:
        yield Place(server)


def row(offset: int, /, key: str = "id", **record: Any) -> Any:
    return make_event(offset, record=record, key={key: record.get(key)})


def test_values_are_what_their_columns_make_of_them(place: Place) -> None:
    """Every form that an event has goes into the type that one would declare for it."""
    columns = {
        "i": ("int", 7, 7),
        "u": ("numeric(20)", 2**64 - 1, Decimal(2**64 - 1)),
        "b": ("boolean", True, True),
        "f": ("float8", "NaN", None),
        "g": ("real", 0.1, 0.1),
        "s": ("text", 'a"\\\n\t{}%s%', 'a"\\\n\t{}%s%'),
        "d": ("numeric(10,2)", "12.50", Decimal("12.50")),
        "ts": ("timestamptz", "2026-11-23T08:42:00.123Z", None),
        "dt": ("timestamp", "2026-11-23T08:42:00.123", dt.datetime(2026, 11, 23, 8, 42, 0, 123000)),  # noqa: DTZ001
        "day": ("date", "2026-11-23", dt.date(2026, 11, 23)),
        "t": ("time", "08:42:00.123", dt.time(8, 42, 0, 123000)),
        "ip": ("inet", "192.0.2.1", None),
        "id": ("uuid", "7f3c1f0e-5a0f-4f4e-9a58-0d2f4f4d9a10", None),
        "j": ("jsonb", {"a": [1, None]}, {"a": [1, None]}),
        "k": ("json", [1, {"b": 2}], [1, {"b": 2}]),
        "a": ("int[]", [1, None, 3], [1, None, 3]),
        "v": ("real[]", [0.5, 1.5], [0.5, 1.5]),
        "raw": ("bytea", "AP/+", b"\x00\xff\xfe"),
        "none": ("text", None, None),
        "Größe %s {x}": ("text", "ü", "ü"),
    }
    declared = ", ".join(f'"{name}" {type_}' for name, (type_, _, _) in columns.items())
    place.run(f"CREATE TABLE S.orders ({declared})")
    sink = place.sink()

    sink.deliver(
        batch_of([make_event(1, record={n: value for n, (_, value, _) in columns.items()})])
    )
    sink.close()

    (found,) = place.run("SELECT * FROM S.orders")
    for (name, (_, _, wanted)), value in zip(columns.items(), found, strict=True):
        if wanted is not None:
            assert value == pytest.approx(wanted) if name == "g" else value == wanted
    assert str(found[3]) == "nan"
    assert found[7] == dt.datetime(2026, 11, 23, 8, 42, 0, 123000, dt.UTC)


def test_an_id_column_makes_repeats_harmless(place: Place) -> None:
    """Sent twice, there once; the columns have the event's members."""
    place.run("CREATE TABLE S.orders (id int, e text PRIMARY KEY, o bigint, w text, c timestamptz)")
    sink = place.sink(event_columns={"id": "e", "offset": "o", "type": "w", "time": "c"})
    events = [row(n, id=n) for n in range(10)]

    for _ in range(2):
        sink.deliver(batch_of(events))
    sink.close()

    found = place.run("SELECT id, e, o, w, c FROM S.orders ORDER BY o")
    assert [(i, e, o, w) for i, e, o, w, _ in found] == [
        (n, event.id, n, "insert") for n, event in enumerate(events)
    ]
    assert round(found[3][4].timestamp() * 1e6) == events[3].time


def test_an_upsert_keeps_the_last_row_of_each_key(place: Place) -> None:
    """Within a batch and over batches, by the columns of the message key."""
    place.run("CREATE TABLE S.orders (id int PRIMARY KEY, name text, more text DEFAULT 'kept')")
    sink = place.sink(mode="upsert")

    sink.deliver(batch_of([row(n, id=n % 3, name=f"a{n}") for n in range(9)]))
    sink.deliver(batch_of([row(9, id=1, name="last")]))
    sink.close()

    assert place.run("SELECT * FROM S.orders ORDER BY id") == [
        (0, "a6", "kept"),
        (1, "last", "kept"),
        (2, "a8", "kept"),
    ]


def test_an_offset_column_keeps_an_older_row_from_going_over_a_newer(place: Place) -> None:
    """As where events are delivered again by hand."""
    place.run("CREATE TABLE S.orders (id int PRIMARY KEY, name text, o bigint)")
    sink = place.sink(mode="upsert", event_columns={"offset": "o"})
    new, old = row(9, id=1, name="new"), row(3, id=1, name="old")

    for event in (new, old, new):
        sink.deliver(batch_of([event]))
    sink.close()

    assert place.run("SELECT * FROM S.orders") == [(1, "new", 9)]


def test_layouts_may_change_within_a_batch(place: Place) -> None:
    """A column that came is written from where it came, in order."""
    place.run("CREATE TABLE S.orders (place serial, id int, name text)")
    sink = place.sink()
    rows = [row(0, id=0), row(1, id=1, name="b"), row(2, id=2)]

    for event in rows:
        sink.deliver(batch_of([event]))
    batch = batch_of([row(3, id=3)])
    batch.slices.extend(batch_of([row(4, id=4, name="e")]).slices)
    sink.deliver(
        batch_of([*batch_of([row(3, id=3)]), make_event(4, type="drop"), row(5, id=5, name="e")])
    )
    sink.close()

    found = place.run("SELECT id, name FROM S.orders ORDER BY place")
    assert found == [(0, None), (1, "b"), (2, None), (3, None), (5, "e")]


def test_what_is_no_row_goes_to_the_notifications_once(place: Place) -> None:
    """The table is made where it is missing; `off` leaves such events out."""
    place.run("CREATE TABLE S.orders (id int)")
    events = [row(0, id=0), make_event(1, type="update", count=3), make_event(2, type="drop")]
    for _ in range(2):
        sink = place.sink()
        sink.deliver(batch_of(events))
        sink.close()
    off = place.sink(notifications="off")
    off.deliver(batch_of([make_event(3, type="gap")]))
    off.close()

    found = place.run('SELECT id, type, "table", event::text FROM S.notifications ORDER BY id')
    assert [(i, t, n) for i, t, n, _ in found] == [
        (event.id, event.type, "ki_home.orders") for event in events[1:]
    ]
    assert found[0][3].encode() == events[1].value


@pytest.mark.parametrize(
    ("definition", "settings", "cure"),
    [
        (None, {}, "there is no table .*create it"),
        ("name text", {}, "lacks id: add what is missing"),
        ("id int", {"mode": "upsert"}, "create a unique index"),
        ("id int, e text", {"event_columns": {"id": "e"}}, "create a unique index"),
        ("id int", {"event_columns": {"offset": "o"}}, "lacks o"),
        ("id int GENERATED ALWAYS AS IDENTITY", {}, "generated|GENERATED"),
    ],
)
def test_a_table_that_does_not_fit_waits_alone_with_the_cure(
    place: Place, definition: str | None, settings: dict[str, Any], cure: str
) -> None:
    """The others of the batch are written; once it is mended it goes on."""
    place.run("CREATE TABLE S.good (id int UNIQUE, e text UNIQUE, o bigint)")
    if definition:
        place.run(f"CREATE TABLE S.bad ({definition})")
    sink = place.sink(**settings)
    events = [
        make_event(0, table="x.bad", record={"id": 0}, key={"id": 0}),
        make_event(1, table="x.good", record={"id": 1}, key={"id": 1}),
    ]
    batch = batch_of(events)

    sink.deliver(batch)

    assert set(batch.failed_tables) == {"x.bad"}
    assert isinstance(batch.failed_tables["x.bad"], Retry)
    assert place.run("SELECT id FROM S.good") == [(1,)]
    with pytest.raises(AssertionError, match=cure):
        raise AssertionError(str(batch.failed_tables["x.bad"]))
    place.run("DROP TABLE IF EXISTS S.bad")
    place.run("CREATE TABLE S.bad (id int UNIQUE, e text UNIQUE, o bigint)")
    again = batch_of(events[:1])
    sink.deliver(again)
    sink.close()
    assert not again.failed_tables
    assert place.run("SELECT id FROM S.bad") == [(0,)]


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "no number"},
        {"id": 2**40},
        {"id": 3, "name": "longer than five"},
        {"id": 3, "name": "\0"},
        {"id": 0},
        {"id": None},
        {"id": -1},
        {"id": 13},
    ],
)
def test_a_row_that_does_not_fit_is_refused_alone(place: Place, bad: dict[str, Any]) -> None:
    """Values, a unique or another constraint, a trigger; the server's answer is kept."""
    place.run("CREATE TABLE S.orders (id int PRIMARY KEY CHECK (id >= 0), name varchar(5))")
    place.run(
        "CREATE FUNCTION S.no() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'unlucky'; END $$"
    )
    place.run(
        "CREATE TRIGGER no BEFORE INSERT ON S.orders FOR EACH ROW "
        "WHEN (new.id = 13) EXECUTE FUNCTION S.no()"
    )
    sink = place.sink()
    events = [row(n, id=n) for n in range(20, 30)]
    events.insert(0, row(0, id=0))
    events.insert(4, make_event(99, record=bad))

    result = drive(sink, events)
    sink.close()

    ((event, error),) = result.rejected
    assert event.offset == 99
    assert error.answer is not None
    assert error.answer[:2] in {"22", "23", "P0"}
    assert len(place.run("SELECT id FROM S.orders")) == 11


def test_a_check_at_the_end_of_the_transaction_is_a_refusal(place: Place) -> None:
    """A deferred constraint speaks at the commit, and nothing of the batch is there."""
    place.run("CREATE TABLE S.one (id int PRIMARY KEY)")
    place.run("CREATE TABLE S.orders (id int REFERENCES S.one DEFERRABLE INITIALLY DEFERRED)")
    place.run("INSERT INTO S.one VALUES (1), (2)")
    sink = place.sink()

    with pytest.raises(Reject, match="foreign key"):
        sink.deliver(batch_of([row(0, id=1), row(1, id=7)]))
    result = drive(sink, [row(0, id=1), row(1, id=7), row(2, id=2)])
    sink.close()

    assert [event.offset for event, _ in result.rejected] == [1]
    assert place.run("SELECT id FROM S.orders ORDER BY id") == [(1,), (2,)]


def test_upsert_without_a_key_waits_and_says_so(place: Place) -> None:
    """`tables[].key` names one."""
    place.run("CREATE TABLE S.orders (id int PRIMARY KEY)")
    sink = place.sink(mode="upsert")
    batch = batch_of([make_event(0, record={"id": 1})])

    sink.deliver(batch)
    sink.close()

    assert "see tables[].key" in str(batch.failed_tables["ki_home.orders"])


def test_a_table_made_anew_with_other_types_is_looked_at_again(place: Place) -> None:
    """What was known of it goes with the first error."""
    place.run("CREATE TABLE S.orders (id int)")
    sink = place.sink()
    sink.deliver(batch_of([row(0, id=1)]))
    place.run("DROP TABLE S.orders")
    place.run("CREATE TABLE S.orders (id text, PRIMARY KEY (id))")

    result = drive(sink, [row(1, id="a"), row(2, id="b")])
    sink.close()

    assert result.rejected == []
    assert place.run("SELECT id FROM S.orders ORDER BY id") == [("a",), ("b",)]


def test_rows_whose_key_has_a_null_are_all_kept(place: Place) -> None:
    """NULL equals no NULL, in a batch as over batches, unless the index says so."""
    place.run("CREATE TABLE S.orders (id int UNIQUE, name text)")
    place.run("CREATE TABLE S.strict (id int UNIQUE NULLS NOT DISTINCT, name text)")
    sink = place.sink(mode="upsert")
    keys = [None, None, 1, 1]
    for table in ("x.orders", "x.strict"):
        events = [
            make_event(n, table=table, record={"id": id_, "name": f"{n}"}, key={"id": id_})
            for n, id_ in enumerate(keys)
        ]
        assert drive(sink, events).rejected == []
    sink.close()

    found = place.run("SELECT * FROM S.orders ORDER BY name")
    assert found == [(None, "0"), (None, "1"), (1, "3")]
    assert place.run("SELECT * FROM S.strict ORDER BY name") == [(None, "1"), (1, "3")]


def test_a_column_whose_type_changes_takes_values_of_the_new_one_at_once(place: Place) -> None:
    """Nothing is rounded to what the column was before."""
    place.run("CREATE TABLE S.orders (id int, n numeric(10,1), f real, b bytea)")
    sink = place.sink()
    sink.deliver(batch_of([row(0, id=0, n="1.23", f=0.123456789, b="AAEC")]))
    place.run("ALTER TABLE S.orders ALTER n TYPE numeric(10,4), ALTER f TYPE float8")
    place.run("ALTER TABLE S.orders ALTER b TYPE text USING ''")

    sink.deliver(batch_of([row(1, id=1, n="1.23", f=0.123456789, b="AAEC")]))
    sink.close()

    assert place.run("SELECT n, f, b FROM S.orders WHERE id = 1") == [
        (Decimal("1.2300"), 0.123456789, "AAEC")
    ]


def test_a_row_that_a_policy_forbids_is_refused_alone(place: Place) -> None:
    """Its state is that of a right that is missing, which would be the table's trouble."""
    place.run("CREATE TABLE S.orders (id int)")
    place.run("ALTER TABLE S.orders ENABLE ROW LEVEL SECURITY")
    place.run("CREATE POLICY small ON S.orders FOR INSERT WITH CHECK (id < 100)")
    role = f"r{uuid.uuid4().hex}"
    place.run(f"CREATE ROLE {role} LOGIN")
    place.run(f"GRANT ALL ON SCHEMA {place.name} TO {role}")
    place.run(f"GRANT ALL ON S.orders TO {role}")
    dsn = make_conninfo(place.server.dsn, user=role)
    sink = place.sink(dsn=dsn)

    result = drive(sink, [row(n, id=1000 if n == 3 else n) for n in range(6)])
    sink.close()

    assert [event.offset for event, _ in result.rejected] == [3]
    assert len(place.run("SELECT id FROM S.orders")) == 5


@pytest.mark.parametrize(("encoding", "refused"), [("LATIN1", [3]), ("SQL_ASCII", [])])
def test_a_database_of_another_encoding_takes_what_it_has(
    place: Place, encoding: str, refused: list[int]
) -> None:
    """A text that it cannot have is refused alone."""
    name = f"e{uuid.uuid4().hex}"
    place.run(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0"
    )
    dsn = make_conninfo(place.server.dsn, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int, name text)")
    sink = place.sink(dsn=dsn, table="{name}", notifications="notifications")
    events = [row(n, id=n, name="日本" if n == 3 else "ü") for n in range(6)]

    result = drive(sink, [*events, make_event(6, type="drop")])
    sink.close()

    assert [event.offset for event, _ in result.rejected] == refused
    with psycopg.connect(dsn, client_encoding="utf8") as connection:
        found = connection.execute("SELECT name FROM orders ORDER BY id").fetchall()
    assert [name for (name,) in found] == ["ü"] * 3 + ["日本"] * (not refused) + ["ü"] * 2


def test_names_that_would_be_cut_are_told(place: Place) -> None:
    """Two long names would else be one table."""
    sink = place.sink()
    batch = batch_of([make_event(0, table="s." + "x" * 64)])

    sink.deliver(batch)
    sink.close()

    assert "1 to 63 bytes" in str(batch.failed_tables["s." + "x" * 64])


def test_a_lock_is_given_up_in_time_and_harms_no_other_table(place: Place) -> None:
    """`timeout` bounds a statement; its table waits."""
    place.run("CREATE TABLE S.a (id int)")
    place.run("CREATE TABLE S.b (id int)")
    sink = place.sink(timeout="1s")
    batch = batch_of([make_event(n, table="x." + "ab"[n], record={"id": n}) for n in range(2)])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with psycopg.connect(place.server.dsn) as connection:
            connection.execute(f"LOCK TABLE {place.name}.a".encode())
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    sink.deliver(batch)
    done.set()
    holder.join()
    sink.close()

    assert set(batch.failed_tables) == {"x.a"}
    assert "lock timeout" in str(batch.failed_tables["x.a"])
    assert place.run("SELECT id FROM S.b") == [(1,)]


def test_more_rows_than_there_is_time_for_are_sent_in_parts(place: Place) -> None:
    """A slow trigger, say: the batch would never get through as it is."""
    place.run("CREATE TABLE S.orders (id int)")
    place.run(
        "CREATE FUNCTION S.slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.15); RETURN new; END $$"
    )
    place.run(
        "CREATE TRIGGER slow BEFORE INSERT ON S.orders FOR EACH ROW EXECUTE FUNCTION S.slow()"
    )
    sink = place.sink(timeout="500ms")

    result = drive(sink, [row(n, id=n) for n in range(6)])
    sink.close()

    assert (result.rejected, "see timeout" in str(result.retries[0])) == ([], True)
    assert place.run("SELECT id FROM S.orders ORDER BY id") == [(n,) for n in range(6)]


def test_a_server_that_goes_and_comes_back_is_found_again(own_place: Place) -> None:
    """Killed between two batches: the connection is gone, and nothing is lost."""
    own_place.run("CREATE TABLE S.orders (id int, e text UNIQUE)")
    sink = own_place.sink(event_columns={"id": "e"})
    sink.deliver(batch_of([row(0, id=0)]))
    own_place.server.kill()
    with pytest.raises(NotConnected):
        sink.deliver(batch_of([row(1, id=1)]))
    with pytest.raises(NotConnected, match="refused"):
        sink.open()
    own_place.server.start()
    sink.open()
    sink.deliver(batch_of([row(1, id=1)]))
    sink.close()

    assert own_place.run("SELECT id FROM S.orders ORDER BY id") == [(0,), (1,)]


def test_a_connection_that_hangs_is_given_up_in_time(own_place: Place) -> None:
    """A server that takes the statement and says nothing, not even that it is too late."""
    own_place.run("CREATE TABLE S.orders (id int)")
    sink = own_place.sink(timeout="1s")
    sink.deliver(batch_of([row(0, id=0)]))
    started = time.monotonic()
    with own_place.server.frozen(), pytest.raises(NotConnected, match="no answer within"):
        sink.deliver(batch_of([row(1, id=1)]))
    assert time.monotonic() - started < 60
    sink.close()
    wait_until(lambda: own_place.run("SELECT 1"), "it answers again")


def test_a_server_that_is_read_only_is_not_written(place: Place) -> None:
    """A standby; another connection may find the primary."""
    dsn = place.server.dsn + " options='-c default_transaction_read_only=on'"
    with pytest.raises(NotConnected, match="read-only"):
        place.sink(dsn=dsn)


def test_a_password_is_in_no_error(place: Place) -> None:
    """Neither in that of a server that refuses it, nor in that of the configuration."""
    place.run("CREATE ROLE x LOGIN PASSWORD 'right'") if not place.run(
        "SELECT 1 FROM pg_roles WHERE rolname = 'x'"
    ) else None
    dsn = f"postgresql://nobody:hunter2secret@127.0.0.1:{place.server.port}/nowhere"
    with pytest.raises(NotConnected) as raised:
        place.sink(dsn=dsn)
    assert "hunter2secret" not in str(raised.value)
    with pytest.raises(ValidationError) as refused:
        place.sink(dsn="hunter2secret is no dsn")
    assert "hunter2secret" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"table": "a.b.c"},
        {"table": ".a"},
        {"table": "{tabel}"},
        {"notifications": "{table}"},
        {"event_columns": {"id": "a", "offset": "a"}},
        {"event_columns": {"record": "a"}},
        {"format": "cloudevents"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError):
        PostgresSettings.model_validate({"type": "postgres", "dsn": "host=a"} | settings)
