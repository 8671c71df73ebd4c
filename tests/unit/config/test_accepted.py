"""What a right configuration becomes: defaults, units, the environment, YAML's own means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config import CatchUp, Config, find_file, load, matches, parse
from bridge.errors import ConfigurationError

Read = Callable[..., Config]

EXAMPLE = Path(__file__).parents[3] / "deploy" / "bridge.example.yaml"


def test_the_example_loads_with_every_value_as_it_says(tmp_path: Path) -> None:
    """The file that ships is valid but for the secret, which is read from its file."""
    secret = tmp_path / "password"
    secret.write_text("swordfish\n")
    text = EXAMPLE.read_text().replace("/run/secrets/kinetica_password", str(secret))

    config = parse(text, environment={"HOOK_SECRET": "a secret of mine"})

    kinetica, journal, table = config.kinetica, config.journal, config.tables[0]
    assert kinetica.urls == ("http://kinetica-a:9191", "http://kinetica-b:9191")
    assert kinetica.username is None
    assert kinetica.password is not None
    assert kinetica.password.get_secret_value() == "swordfish"
    assert (kinetica.timeout, kinetica.probe_interval, kinetica.probe_timeout) == (30.0, 5.0, 2.0)
    assert (kinetica.tls.ca_file, kinetica.tls.verify) == (Path("/etc/ssl/kinetica.pem"), True)
    assert (journal.max_size, journal.max_age) == (10 * 2**30, 7 * 86400.0)
    assert (table.key, table.catch_up) == (("order_id",), CatchUp(column="order_id"))
    assert (table.inactivity_timeout, table.sinks) == (1200.0, ("orders-topic", "audit"))
    assert list(config.sinks) == ["orders-topic", "hook", "audit"]
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 9464)
    assert (config.log.level, config.log.format, config.shutdown.grace) == ("info", "json", 8.0)


def test_all_but_the_clusters_and_the_tables_has_a_default(read: Read) -> None:
    """Three lines are a configuration."""
    config = read("kinetica: {urls: kinetica}\ntables: [{name: ki_home.orders}]")

    table = config.tables[0]
    assert config.kinetica.urls == ("http://kinetica:9191",)
    assert config.kinetica.monitor_port is None
    assert config.journal.path == Path("/var/lib/kinetica-bridge")
    assert (config.journal.max_size, config.journal.on_full) == (10 * 2**30, "stop_capture")
    assert table.events == ("insert", "update", "delete")
    assert (table.key, table.filter, table.catch_up, table.sinks) == (None, None, None, ())
    assert (table.values, table.on_decode_failure) == ("declared", "dead_letter")
    assert (table.on_drop, table.snapshot) == ("wait", "never")
    assert config.admin.listen == "127.0.0.1:9464"
    assert config.log.format is None
    assert config.shutdown.grace == 8.0


@pytest.mark.parametrize(
    "sink",
    [
        "type: stdout",
        "type: file, path: out.jsonl",
        "type: webhook, url: 'http://host/x'",
        "type: kafka, bootstrap_servers: 'kafka:9092'",
    ],
)
def test_every_sink_can_be_told_its_format(read: Read, sink: str) -> None:
    """The one there is may be named."""
    config = read(
        f"kinetica: {{urls: a}}\ntables: [{{name: s.t}}]\nsinks: {{out: {{{sink}, format: json}}}}"
    )

    assert config.sinks["out"].model_dump()["format"] == "json"


@pytest.mark.parametrize("off", ["off", "false", "${X:-off}", "${X:-false}"])
def test_catch_up_can_be_turned_off(read: Read, off: str) -> None:
    """As YAML writes it, in either of its versions, or from the environment."""
    config = read(f"kinetica: {{urls: a}}\ntables:\n  - name: s.t\n    catch_up: {off}\n")

    assert config.tables[0].catch_up == "off"


@pytest.mark.parametrize("off", ["off", "false"])
def test_the_way_back_to_the_primary_can_be_turned_off(read: Read, off: str) -> None:
    """As YAML writes it, in either of its versions: Helm hands `off` on as `false`."""
    config = read(f"kinetica: {{urls: [a, b], failback: {off}}}\ntables: [{{name: s.t}}]\n")

    assert config.kinetica.failback is None


def test_gaps_are_closed_by_a_column_or_by_the_whole_table(read: Read) -> None:
    """Each of the two forms, and none."""
    config = read(
        """\
        kinetica: {urls: a}
        tables:
          - {name: s.a, catch_up: {column: id}}
          - {name: s.b, catch_up: {whole_table: 5000000}}
          - {name: s.c}
        """
    )

    assert [table.catch_up for table in config.tables] == [
        CatchUp(column="id"),
        CatchUp(whole_table=5_000_000),
        None,
    ]


def test_the_columns_that_a_table_names_are_known(read: Read) -> None:
    """Key, growing column, and the one that updates move."""
    config = read(
        "kinetica: {urls: a}\ntables:\n  - name: s.t\n    key: [a, b]\n"
        "    catch_up: {column: c}\n    update_rows: {column: d}\n"
    )

    assert config.tables[0].columns_named == {"a", "b", "c", "d"}


def test_a_pattern_means_tables_of_its_schema_but_for_exceptions(read: Read) -> None:
    """Sets of characters are understood; an exception needs no schema."""
    config = read(
        "kinetica: {urls: a}\ntables: [{name: 's.o*_202?', except: [s.o_old_*, 'o[xy]*']}]\n"
    )
    table = config.tables[0]
    names = ["s.o_2021", "s.orders_2029", "r.o_2021", "s.o_old_2021", "s.oy_2021", "s.p_2021"]

    assert table.is_pattern
    assert [n for n in names if matches(n, table.name, table.except_)] == names[:2]


def test_brackets_in_a_plain_name_mean_themselves(read: Read) -> None:
    """Kinetica allows them in names."""
    config = read("kinetica: {urls: a}\ntables: [{name: 's.a[1]-{x}:(y)#'}]\n")

    assert not config.tables[0].is_pattern


def test_the_admin_token_may_stand_in_a_file(read: Read, tmp_path: Path) -> None:
    """As every secret may."""
    (tmp_path / "token").write_text("let me in\n")
    config = read(
        f"kinetica: {{urls: a}}\ntables: [{{name: s.t}}]\nadmin: {{token_file: {tmp_path}/token}}\n"
    )

    assert config.admin.token is not None
    assert config.admin.token.get_secret_value() == "let me in"


def test_a_table_goes_to_every_sink_unless_it_names_some_or_none(read: Read) -> None:
    """The ids stand in the table, in the order of the file."""
    config = read(
        """\
        kinetica: {urls: a}
        tables: [{name: s.a}, {name: s.b, sinks: [two]}, {name: s.c, sinks: []}]
        sinks: {one: {type: stdout}, two: {type: stdout}}
        """
    )

    assert [table.sinks for table in config.tables] == [("one", "two"), ("two",), ()]


def test_a_section_left_empty_has_its_defaults(read: Read) -> None:
    """Commenting out all of a section's lines is no error."""
    config = read(
        "kinetica:\n  urls: a\n  tls:\njournal:\nsinks:\nlog: {}\ntables: [{name: s.t}]\n"
    )

    assert config.kinetica.tls.verify
    assert config.journal.max_age == 7 * 86400.0
    assert config.sinks == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("kinetica", "http://kinetica:9191"),
        ("HTTP://Kinetica:9191/", "http://kinetica:9191"),
        ("10.0.0.7:9192", "http://10.0.0.7:9192"),
        ("'[::1]'", "http://[::1]:9191"),
        ("http://kinetica/gpudb-0", "http://kinetica/gpudb-0"),
        ("https://kinetica", "https://kinetica"),
        ("https://kinetica:8082/gpudb-0/", "https://kinetica:8082/gpudb-0"),
    ],
)
def test_a_url_gets_the_scheme_and_port_that_kinetica_has(
    written: str, meant: str, read: Read
) -> None:
    """One cluster has one spelling, as events carry it."""
    config = read(f"kinetica:\n  urls: {written}\ntables: [{{name: s.t}}]\n")

    assert config.kinetica.urls == (meant,)


def test_a_ring_comes_from_one_variable_with_commas(read: Read) -> None:
    """A variable cannot hold a list, and need not."""
    config = read("kinetica:\n  urls: ${RING}\ntables: [{name: s.t}]\n", RING="a, b:1")

    assert config.kinetica.urls == ("http://a:9191", "http://b:1")


def test_the_environment_is_text_until_a_setting_wants_more(read: Read) -> None:
    """A variable fills numbers, booleans and units, within text and whole."""
    config = read(
        """\
        kinetica:
          urls: ["http://${HOST}:${PORT:-9191}", "${SECOND:-}"]
          username: ${USER:-}
          monitor_port: ${MONITOR_PORT}
          timeout: ${SECONDS}s
          tls: {verify: "${VERIFY}"}
        tables: [{name: "${SCHEMA:-ki_home}.orders", filter: "price = '5$$' and x = '${EMPTY:-}'"}]
        """,
        HOST="kinetica",
        MONITOR_PORT="9003",
        SECONDS="5",
        VERIFY="false",
    )

    assert config.kinetica.urls == ("http://kinetica:9191",)
    assert config.kinetica.username is None
    assert (config.kinetica.monitor_port, config.kinetica.timeout) == (9003, 5.0)
    assert not config.kinetica.tls.verify
    assert config.tables[0].name == "ki_home.orders"
    assert config.tables[0].filter == "price = '5$' and x = ''"


def test_the_environment_is_never_yaml(read: Read) -> None:
    """Whatever a secret consists of, it stays one text."""
    nasty = "a: b\n- 'c' #\"{}[]&*!|>%@`"

    config = read(
        "kinetica:\n  urls: a\n  username: u\n  password: ${PASSWORD}\ntables: [{name: s.t}]\n",
        PASSWORD=nasty,
    )

    assert config.kinetica.password is not None
    assert config.kinetica.password.get_secret_value() == nasty


def test_an_empty_variable_means_the_default(read: Read) -> None:
    """`${VAR:-}` leaves a setting out, whatever its type."""
    config = read(
        "kinetica:\n  urls: a\n  timeout: ${T:-}\n  monitor_port: ${P}\ntables: [{name: s.t}]\n",
        P="",
    )

    assert (config.kinetica.timeout, config.kinetica.monitor_port) == (30.0, None)


def test_scalars_are_those_of_yaml_1_2(read: Read) -> None:
    """`no`, `12:30` and a date are text; nothing is guessed."""
    config = read(
        """\
        kinetica: {urls: a}
        tables:
          - {name: no, key: [on, 12:30, 2026-11-23, 1_000]}
        """
    )

    assert config.tables[0].name == "no"
    assert config.tables[0].key == ("on", "12:30", "2026-11-23", "1_000")


def test_anchors_and_merges_save_typing(read: Read) -> None:
    """What stands at the table itself wins over what is merged into it."""
    config = read(
        """\
        kinetica: {urls: a}
        tables:
          - &usual {name: s.a, events: [insert], on_drop: stop}
          - {<<: *usual, name: s.b}
          - {name: s.c, <<: [*usual], events: [delete]}
        """
    )

    assert [(t.name, t.events, t.on_drop) for t in config.tables] == [
        ("s.a", ("insert",), "stop"),
        ("s.b", ("insert",), "stop"),
        ("s.c", ("delete",), "stop"),
    ]


def test_a_merge_that_fails_is_shown_where_it_was_written(tmp_path: Path) -> None:
    """The line is that of the anchor, where the mistake is mended."""
    file = tmp_path / "bridge.yaml"
    file.write_text(
        "kinetica: {urls: a}\ntables:\n  - &usual\n    name: s.a\n    on_drop: halt\n"
        "  - <<: *usual\n    name: s.b\n"
    )

    with pytest.raises(ConfigurationError) as caught:
        load(file, {})

    assert [line.split(": ")[0] for line in caught.value.problems] == [f"{file}:5"] * 2


def test_a_byte_order_mark_and_windows_line_ends_are_fine(right: str) -> None:
    """Editors leave them."""
    content = b"\xef\xbb\xbf" + right.replace("\n", "\r\n").encode()

    assert parse(content, environment={}).tables[0].name == "ki_home.orders"


def test_the_file_is_the_argument_or_the_variable_or_the_one_here() -> None:
    """In this order, and an empty variable counts as none."""
    variable = {"KINETICA_BRIDGE_CONFIG": "/etc/b.yaml"}

    assert find_file("a.yaml", variable) == Path("a.yaml")
    assert find_file(None, variable) == Path("/etc/b.yaml")
    assert find_file(None, {"KINETICA_BRIDGE_CONFIG": ""}) == Path("bridge.yaml")
    assert find_file(None, {}) == Path("bridge.yaml")


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_read_says_how_to_name_another(name: str, tmp_path: Path) -> None:
    """Missing, or a folder: the cure is the same."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / name, {})

    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / name}: ")
    assert problem.endswith("; name a configuration with -c FILE or in KINETICA_BRIDGE_CONFIG")


def test_values_never_change(read: Read, right: str) -> None:
    """A configuration is read by many threads."""
    config = read(right)

    with pytest.raises(ValueError, match="frozen"):
        config.log = config.log  # type: ignore[misc]


def test_a_beginning_that_was_still_to_come_is_none_later(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file stays as it is while its time passes."""
    text = "kinetica: {urls: a}\ntables: [{name: s.t}]\nsinks: {out: {type: stdout, from: %s}}\n"
    text %= "2999-01-01T00:00:00Z"
    with pytest.raises(ConfigurationError, match="is still to come"):
        read(text)
    monkeypatch.setattr("time.time", lambda: 4e10)

    assert read(text).sinks["out"].from_ == "2999-01-01T00:00:00Z"
