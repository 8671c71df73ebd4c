"""Every way to be wrong gets one line that names the file, the line, the key and the cure."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

Refused = Callable[..., list[str]]

KINETICA = "kinetica: {urls: [http://a:9191]}\n"
TABLES = "tables: [{name: s.t}]\n"
BOTH = KINETICA + TABLES


def _kinetica(text: str) -> str:
    return "kinetica:\n  urls: [http://a:9191]\n" + f"  {text}\n" + TABLES


def _table(text: str) -> str:
    return (
        KINETICA
        + "tables:\n  - name: s.t\n"
        + f"    {text}\n"
        + "sinks: {audit: {type: stdout}, other: {type: stdout}}\n"
    )


def _named(name: str) -> str:
    return KINETICA + f"tables:\n  - name: {name}\n"


def _sinks(text: str) -> str:
    return BOTH + "sinks:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def _avro(registry: str) -> str:
    kafka = "type: kafka, bootstrap_servers: 'k:9092', topic: t, format: avro"
    return _sinks(f"out: {{{kafka}, schema_registry: {registry}}}")


_VALID_TOP = "instance, kinetica, journal, tables, sinks, dead_letters, admin, log, shutdown"
_MISSING = "the file cannot be read: No such file or directory"
_DURATION = "write a duration like 500ms, 30s, 20m, 2h or 7d, for example"

WRONG: dict[str, tuple[str, list[str]]] = {
    # A value is no part of a name
    "a certificate that is not there": (
        _sinks(
            "out:\n  type: kafka\n  bootstrap_servers: k\n"
            "  options: {security.protocol: ssl, ssl.ca.location: /no/such.pem}"
        ),
        [
            f"7: sinks.out.options: ssl.ca.location: {_MISSING}",
        ],
    ),
    # Unknown and missing keys
    "a misspelt section": (
        BOTH + "jurnal: {}\n",
        ['3: jurnal: unknown key; did you mean "journal"?'],
    ),
    "a section of another program": (
        BOTH + "receivers: {}\n",
        [f"3: receivers: unknown key; valid here are {_VALID_TOP}"],
    ),
    "a misspelt key that is required is one problem": (
        "kinetica: {url: http://a}\n" + TABLES,
        ['1: kinetica.url: unknown key; did you mean "urls"?'],
    ),
    "a secret's file misspelt": (
        _kinetica("pasword_file: /run/x"),
        ['3: kinetica.pasword_file: unknown key; did you mean "password_file"?'],
    ),
    "hyphens for underscores": (
        _kinetica("monitor-port: 9002"),
        ['3: kinetica.monitor-port: unknown key; did you mean "monitor_port"?'],
    ),
    "no kinetica": (TABLES, ["1: kinetica: required"]),
    "no tables": (KINETICA, ["1: tables: required"]),
    "no table among tables": (KINETICA + "tables: []\n", ["2: tables: must not be empty"]),
    "tables without a value": (
        KINETICA + "tables:\n",
        ["2: tables: has no value; give it one, or leave the key out"],
    ),
    "kinetica without a value": ("kinetica:\n" + TABLES, ["1: kinetica.urls: required"]),
    "a table without a name": (
        KINETICA + "tables:\n  - events: [insert]\n",
        ["3: tables[0].name: required"],
    ),
    # Numbers, units, choices
    "a duration without a unit": (
        _kinetica("timeout: 30"),
        [f"3: kinetica.timeout: 30 has no unit: {_DURATION} 30s"],
    ),
    "a boolean for a duration": (
        _kinetica("timeout: true"),
        ["3: kinetica.timeout: True is not a duration like 500ms, 30s, 20m, 2h or 7d"],
    ),
    "a duration of nothing": (
        _kinetica("probe_interval: 0s"),
        ["3: kinetica.probe_interval: must be more than 0"],
    ),
    "an unknown unit of size": (
        BOTH + "journal: {max_size: 10Gi}\n",
        ["3: journal.max_size: unknown unit 'Gi': known are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB"],
    ),
    "a journal smaller than the least": (
        BOTH + "journal: {max_size: 1023KiB}\n",
        ["3: journal.max_size: must be at least 1MiB"],
    ),
    "a port out of range": (
        _kinetica("monitor_port: 70000"),
        ["3: kinetica.monitor_port: must be at most 65535"],
    ),
    "a port that is no number": (
        _kinetica("monitor_port: nine"),
        ['3: kinetica.monitor_port: wanted a whole number, not "nine"'],
    ),
    "a boolean for a number": (
        _kinetica("monitor_port: true"),
        ["3: kinetica.monitor_port: wanted a number, not true"],
    ),
    "yes, as YAML 1.1 has it": (
        _kinetica("tls: {verify: yes}"),
        ["3: kinetica.tls.verify: wanted true or false"],
    ),
    "no in quotes": (
        _kinetica("tls: {verify: 'No'}"),
        ["3: kinetica.tls.verify: wanted true or false"],
    ),
    "a number for a boolean": (
        _sinks("out: {type: kafka, bootstrap_servers: k, topic: t, headers: 0}"),
        ["4: sinks.out.headers: wanted true or false"],
    ),
    "a word for a boolean": (
        _kinetica("tls: {verify: maybe}"),
        ["3: kinetica.tls.verify: wanted true or false"],
    ),
    "an empty text for a boolean": (
        _kinetica("tls: {verify: ''}"),
        ["3: kinetica.tls.verify: wanted true or false, not an empty text"],
    ),
    "a beginning that is still to come": (
        _sinks("out:\n  type: stdout\n  from: 2999-01-01T00:00:00Z"),
        [
            (
                "6: sinks.out.from: '2999-01-01T00:00:00Z' is still to come; "
                "a sink begins now or at a time that has been"
            )
        ],
    ),
    "a choice misspelt": (
        BOTH + "journal: {on_full: stop}\n",
        [
            '3: journal.on_full: must be stop_capture or drop_oldest, not "stop"',
        ],
    ),
    "a level of another program": (
        BOTH + "log: {level: warn}\n",
        [
            (
                '3: log.level: must be debug, info, warning or error, not "warn"; '
                'did you mean "warning"?'
            )
        ],
    ),
    "a number for a name": (
        KINETICA + "tables: [{name: 12}]\n",
        ["2: tables[0].name: wanted text, not the number 12; put it in quotes to make it text"],
    ),
    "a text for a section": (
        BOTH + "shutdown: 8s\n",
        ["3: shutdown: wanted settings (KEY: VALUE), not text"],
    ),
    "a list for a text": (
        _table("filter: []"),
        ["4: tables[0].filter: wanted text, not a list"],
    ),
    # Addresses
    "a URL of another scheme": (
        "kinetica: {urls: 'ftp://a'}\n" + TABLES,
        ['1: kinetica.urls: "ftp://a" must begin with http:// or https://'],
    ),
    "credentials in a URL": (
        "kinetica: {urls: 'http://me:secret@a'}\n" + TABLES,
        [
            (
                "1: kinetica.urls: holds credentials; give them as kinetica.username and "
                "kinetica.password"
            )
        ],
    ),
    "a cluster twice": (
        "kinetica: {urls: [a, 'http://a:9191/']}\n" + TABLES,
        ["1: kinetica.urls: http://a:9191 is given twice"],
    ),
    "no cluster": (
        "kinetica: {urls: []}\n" + TABLES,
        ["1: kinetica.urls: names no cluster; wanted at least one, such as http://kinetica:9191"],
    ),
    "a port alone to listen on": (
        BOTH + "admin: {listen: 9464}\n",
        [
            (
                "3: admin.listen: wanted HOST:PORT, for example 127.0.0.1:9464, or 0.0.0.0:9464 "
                "for every interface"
            )
        ],
    ),
    # Secrets
    "a password without a user": (
        _kinetica("password: x"),
        ["3: kinetica.password: needs kinetica.username beside it"],
    ),
    "a token beside a user": (
        _kinetica("username: a\n  token: b"),
        ["4: kinetica.token: a token and a username are given; keep one"],
    ),
    "a secret that is a number is not shown": (
        "kinetica: {urls: a, username: u, password: 748261}\n" + TABLES,
        [
            (
                "1: kinetica.password: wanted text, not what stands there; put it in quotes to "
                "make it text"
            )
        ],
    ),
    "a password that YAML takes for a comment": (
        "kinetica:\n  urls: a\n  username: u\n  password: #secret\n" + TABLES,
        [
            (
                "4: kinetica.password: has no value; leave the key out for none, and put text that "
                "starts with # or & in quotes"
            )
        ],
    ),
    "a secret and its file": (
        "kinetica: {urls: a, username: u, password: x, password_file: y}\n" + TABLES,
        ["1: kinetica.password_file: both password and password_file are given; keep one"],
    ),
    "a secret's file that is not there": (
        "kinetica:\n  urls: a\n  username: u\n  password_file: /nowhere/pw\n" + TABLES,
        ["4: kinetica.password_file: cannot read /nowhere/pw: no such file or directory"],
    ),
    # Tables
    "an unknown operation": (
        _table("events: [insert, upsert]"),
        [
            (
                '4: tables[0].events[1]: must be insert, update or delete, not "upsert"; '
                'did you mean "insert"?'
            )
        ],
    ),
    "no operation": (_table("events: []"), ["4: tables[0].events: must not be empty"]),
    "an operation twice": (
        _table("events: [insert, insert]"),
        ['4: tables[0].events: "insert" is given twice'],
    ),
    "a key that is no list": (
        _table("key: order_id"),
        ['4: tables[0].key: wanted a list, not "order_id"; write [order_id]'],
    ),
    "a key of no column": (_table("key: []"), ["4: tables[0].key: must not be empty"]),
    "a filter without inserts": (
        _table("events: [update]\n    filter: x > 1"),
        ["5: tables[0].filter: inserts alone obey a filter, and events has no insert; drop one"],
    ),
    "catch-up that says nothing": (
        _table("catch_up: {}"),
        [
            (
                "4: tables[0].catch_up: wanted {column: C} or {whole_table: ROWS}; or off, which "
                "leaves gaps open"
            )
        ],
    ),
    "catch-up in both ways": (
        _table("catch_up: {column: id, whole_table: 1000}"),
        ["4: tables[0].catch_up: wanted {column: C} or {whole_table: ROWS}, not both; keep one"],
    ),
    "catch-up of no rows": (
        _table("catch_up: {whole_table: 0}"),
        ["4: tables[0].catch_up.whole_table: must be at least 1"],
    ),
    "catch-up by a word": (
        _table("catch_up: on"),
        ["4: tables[0].catch_up: wanted {column: C}, {whole_table: ROWS} or off"],
    ),
    "catch-up misspelt": (
        _table("catch_up: {whole_tabel: 1000}"),
        ['4: tables[0].catch_up.whole_tabel: unknown key; did you mean "whole_table"?'],
    ),
    "rows of updates without their column": (
        _table("update_rows: {}"),
        ["4: tables[0].update_rows.column: required"],
    ),
    "rows of updates without updates": (
        _table("events: [insert]\n    update_rows: {column: c}"),
        [
            (
                "5: tables[0].update_rows: rows are read after counted updates, and events has no "
                "update; add it, or drop this"
            )
        ],
    ),
    "a pattern without its schema": (
        _named('"*"'),
        ['3: tables[0].name: a pattern needs its schema: write "ki_home.*", say'],
    ),
    "a pattern of schemas": (
        _named('"*.orders"'),
        [
            (
                "3: tables[0].name: the schema of a pattern must be spelt out: write "
                '"ki_home.orders", say'
            )
        ],
    ),
    "a name of three parts": (
        _named("a.b.c"),
        [
            (
                '3: tables[0].name: "a.b.c" has more than one dot; write SCHEMA.TABLE, such as '
                "ki_home.orders"
            )
        ],
    ),
    "a name with a space": (
        _named("demo.we ather"),
        [
            (
                '3: tables[0].name: "demo.we ather" holds a space, which no table\'s name can '
                "have; write it as Kinetica lists it, without quotes"
            )
        ],
    ),
    "a name without its table": (
        _named("demo."),
        [
            (
                '3: tables[0].name: "demo." is no name of a table; write SCHEMA.TABLE, such as '
                "ki_home.orders"
            )
        ],
    ),
    "a name that is too long": (
        _named("s." + "x" * 201),
        ["3: tables[0].name: no table's name has more than 200 characters"],
    ),
    "exceptions from one table": (
        _table("except: [s.a]"),
        ["4: tables[0].except: belongs to a pattern such as ki_home.*, and s.t is none"],
    ),
    "exceptions of another schema": (
        KINETICA + "tables:\n  - name: s.*\n    except: [s.a, r.b]\n",
        ["4: tables[0].except[1]: s.* means no table of r; leave it out"],
    ),
    "a table twice, once without its schema": (
        KINETICA + "tables:\n  - name: ki_home.t\n  - name: t\n",
        ["4: tables[1].name: t is given twice, first on line 3"],
    ),
    "a table twice": (
        KINETICA + "tables:\n  - name: s.t\n  - name: s.u\n  - name: s.t\n",
        ["5: tables[2].name: s.t is given twice, first on line 3"],
    ),
    "a sink that is not there": (
        _table("sinks: [other, audti]"),
        ['4: tables[0].sinks[1]: no sink has the id "audti"; did you mean "audit"?'],
    ),
    "a sink where there is none": (
        KINETICA + "tables: [{name: s.t, sinks: [audit]}]\n",
        ['2: tables[0].sinks[0]: no sink has the id "audit"; there are none'],
    ),
    # Sinks
    "a sink of an unknown type": (
        _sinks("out: {type: stdot}"),
        [
            (
                "4: sinks.out.type: no sink type 'stdot': did you mean 'stdout'? known are file, "
                "kafka, postgres, redis, stdout, webhook"
            )
        ],
    ),
    "a sink without a type": (
        _sinks("out: {path: x}"),
        ["4: sinks.out.type: required; known are file, kafka, postgres, redis, stdout, webhook"],
    ),
    "a number for a type": (
        _sinks("out: {type: 7}"),
        [
            (
                "4: sinks.out.type: wanted a name; known are file, kafka, postgres, redis, stdout, "
                "webhook"
            )
        ],
    ),
    "a path of nothing": (
        BOTH + "journal: {path: ''}\n",
        ["3: journal.path: must not be empty"],
    ),
    "an unknown key of a sink": (
        _sinks("out: {type: file, path: x, pth: y}"),
        ['4: sinks.out.pth: unknown key; did you mean "path"?'],
    ),
    "an unknown key deep in a sink": (
        _sinks("out:\n  type: stdout\n  batch:\n    max_event: 1"),
        ['7: sinks.out.batch.max_event: unknown key; did you mean "max_events"?'],
    ),
    "an id in capitals": (
        _sinks("Out: {type: stdout}"),
        ["4: sinks.Out: the id of a sink is of lower-case letters, digits and -"],
    ),
    "a list of sinks": (
        _sinks("- type: stdout"),
        ["3: sinks: wanted an id with settings for each sink, for example audit: {type: stdout}"],
    ),
    "a sink that is a word": (
        _sinks("out: stdout"),
        ["4: sinks.out: wanted settings (KEY: VALUE), at least its type"],
    ),
    "two sinks that write one file": (
        _sinks("a: {type: file, path: /out/x}\nb: {type: file, path: /out/./x}"),
        ["5: sinks.b.path: the sink a writes /out/x too; each needs its own"],
    ),
    "a sink that writes the file another has for one table": (
        _sinks('a: {type: file, path: "/out/{table}"}\nb: {type: file, path: /out/s.t}'),
        ["5: sinks.b.path: the sink a writes /out/s.t too; each needs its own"],
    ),
    "a file that another sink closes": (
        _sinks(
            "a: {type: file, path: '/out/{name}.txt', rotate: {max_size: 1MiB}}\n"
            "b: {type: file, path: /out/x.12.txt}"
        ),
        ["5: sinks.b.path: the sink a writes /out/x.12.txt too; each needs its own"],
    ),
    "a file for what is no row": (
        _sinks(
            "a: {type: file, path: /out/x, format: csv}\n"
            "b: {type: file, path: /out/x.notifications.jsonl}"
        ),
        ["5: sinks.b.path: the sink a writes /out/x.notifications.jsonl too; each needs its own"],
    ),
    # Formats
    "a format that a webhook cannot carry": (
        _sinks("hook: {type: webhook, url: 'http://a', format: raw}"),
        [
            (
                "4: sinks.hook.format: a webhook cannot carry raw; it takes json, cloudevents or "
                "cloudevents-binary"
            )
        ],
    ),
    "a format that the terminal cannot carry": (
        _sinks("out: {type: stdout, format: debezium}"),
        ["4: sinks.out.format: a stdout cannot carry debezium; it takes json or cloudevents"],
    ),
    "bytes in a file of lines": (
        _sinks("out: {type: file, path: /out/x, format: raw}"),
        [
            (
                "4: sinks.out.format: a file cannot carry raw; it takes json, cloudevents, "
                "debezium or csv"
            )
        ],
    ),
    "a format that there is not": (
        _sinks("out: {type: stdout, format: cloudevent}"),
        [
            (
                "4: sinks.out.format: must be json, cloudevents, cloudevents-binary, debezium, "
                'avro, raw or csv, not "cloudevent"; did you mean "cloudevents"?'
            )
        ],
    ),
    "schemas for a format that has none": (
        _sinks("out: {type: stdout, schemas: true}"),
        ["4: sinks.out.schemas: belongs to format: debezium, and this is json; leave it out"],
    ),
    "a registry for a format that asks none": (
        _sinks("out: {type: stdout, schema_registry: {url: 'http://r'}}"),
        ["4: sinks.out.schema_registry: belongs to format: avro, and this is json; leave it out"],
    ),
    "avro without a registry": (
        _sinks("out: {type: kafka, bootstrap_servers: 'k:9092', topic: t, format: avro}"),
        [
            (
                "4: sinks.out.format: avro needs to know where its schemas are registered; add "
                "schema_registry: {url: …}"
            )
        ],
    ),
    "a registry's password in its address": (
        _avro("{url: 'http://me:pw@r'}"),
        [
            (
                "4: sinks.out.schema_registry.url: credentials do not belong into it; use username "
                "and password"
            )
        ],
    ),
    "a registry that is no address": (
        _avro("{url: 'r:8081'}"),
        ["4: sinks.out.schema_registry.url: write http://HOST:PORT or https://HOST:PORT"],
    ),
    "a registry's user without a password": (
        _avro("{url: 'http://r', username: me}"),
        ["4: sinks.out.schema_registry: username and password belong together"],
    ),
    "a registry's key without a certificate": (
        _avro("{url: 'http://r', tls: {key_file: k.pem}}"),
        [("4: sinks.out.schema_registry.tls: key_file is the key of a certificate; add cert_file")],
    ),
    "columns to leave out of bytes that are not looked at": (
        KINETICA
        + "tables: [{name: s.u, sinks: []}, {name: s.t, exclude: [a]}]\n"
        + "sinks:\n  out: {type: kafka, bootstrap_servers: 'k:9092', topic: t, format: raw}\n",
        [
            (
                "4: sinks.out.format: raw is the record as received, so tables[1].exclude cannot "
                "be obeyed; choose another format, or send the table to other sinks"
            )
        ],
    ),
    # The environment
    "a variable that is not set": (
        _kinetica("username: ${WHO}"),
        [
            (
                "3: kinetica.username: environment variable WHO is not set; ${WHO:-default} would "
                "give it a value, empty for none"
            )
        ],
    ),
    "a variable that must be set": (
        _kinetica("username: ${WHO:?name the reader}"),
        ["3: kinetica.username: environment variable WHO: name the reader"],
    ),
    "half a variable": (
        _kinetica("username: ${WHO"),
        [
            (
                "3: kinetica.username: ${ is understood as ${VAR}, ${VAR:-default} or "
                "${VAR:?message}, a default without another ${; write $$ for a plain $"
            )
        ],
    ),
    "a variable for what is required, empty": (
        "kinetica:\n  urls: ${URLS:-}\n" + TABLES,
        ["2: kinetica.urls: required, and ${URLS:-} is empty"],
    ),
    "a list from a variable": (
        _table("key: '${COLUMNS:-a, b}'"),
        ["4: tables[0].key: wanted a list, not ${COLUMNS:-a, b}"],
    ),
    # YAML
    "a key twice": (
        BOTH + "log: {level: info}\nadmin: {}\nlog: {level: debug}\n",
        ["5: log: given twice, first on line 3"],
    ),
    "a key twice within": (
        BOTH + "log:\n  level: info\n  level: debug\n",
        ["5: log.level: given twice, first on line 4"],
    ),
    "a tab": (
        "kinetica:\n\turls: a\n",
        ["2: not valid YAML: a tab where YAML wants spaces"],
    ),
    "a colon within text": (
        "kinetica:\n  urls: a: b\n",
        [
            (
                '2: not valid YAML: a ": " where no key can stand; put the text in quotes or mend '
                "the indentation"
            )
        ],
    ),
    "a quote that never ends": (
        BOTH + 'log: {level: "info}\n\n\n',
        ["3: not valid YAML: a quote that is never closed"],
    ),
    "a bracket that never ends": (
        "kinetica: {urls: [a\n" + TABLES,
        [
            (
                "2: not valid YAML: a list or mapping in brackets, opened on line 1, lacks a comma "
                "or its end"
            )
        ],
    ),
    "a variable in a flow mapping without quotes": (
        "kinetica: {urls: ${URLS}}\n" + TABLES,
        ["1: not valid YAML: ${…} within [ ] or { } must be in quotes"],
    ),
    "a password that YAML takes for an alias is not shown": (
        "kinetica:\n  password: *hunter2\n",
        ["2: not valid YAML: text that starts with * or & must be in quotes"],
    ),
    "a password that YAML takes for a tag is not shown": (
        "kinetica:\n  urls: a\n  username: u\n  password: !hunter2\n" + TABLES,
        [
            (
                "4: kinetica.password: a YAML tag that has no meaning here; put text that starts "
                "with ! in quotes"
            )
        ],
    ),
    "lines that do not align": (
        "kinetica:\n   urls: a\n  username: u\n",
        ["3: not valid YAML: the indentation does not fit the lines above"],
    ),
    "two documents": (
        BOTH + "---\n" + BOTH,
        ['3: not valid YAML: a second document; a configuration is one, with no "---" within'],
    ),
    "an empty file": (
        "",
        ["1: the file: is empty; it must hold settings: kinetica, tables, sinks and so on"],
    ),
    "only comments": (
        "# nothing yet\n",
        ["1: the file: is empty; it must hold settings: kinetica, tables, sinks and so on"],
    ),
    "a list": (
        "- kinetica\n",
        ["1: the file: is no mapping; it must hold settings: kinetica, tables, sinks and so on"],
    ),
    "a control character": (
        BOTH + "log: \x07\n",
        ["3: not valid YAML: a control character (U+0007)"],
    ),
    "an escape that is no character": (
        BOTH + 'log: "\\UFFFFFFFF"\n',
        ["3: not valid YAML: an escape that is no character"],
    ),
    "a key that is a list": (BOTH + "[log]: {}\n", ["3: the file: a key must be text"]),
    "a number too long to read": (
        _kinetica("monitor_port: " + "9" * 5000),
        ["3: kinetica.monitor_port: not a number that can be read; put text in quotes"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_refused_with_exactly_these_lines(
    case: str, refused: Refused
) -> None:
    """What is wrong is said once, where it stands, and nothing else is."""
    text, expected = WRONG[case]

    problems = refused(text)

    assert problems == [f"bridge.yaml:{line}" for line in expected]


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(refused: Refused) -> None:
    """One run tells of all problems, syntax apart."""
    problems = refused(
        """\
        kinetica:
          urls: [a]
          username: ${WHO}
          timeout: 30
        tables:
          - name: s.t
            sinks: [nowhere]
            snapshot: always
          - name: s.t
        sinks:
          out: {type: nothing-like-it}
          hook: {type: file}
        colour: blue
        """
    )

    assert [line.split(": ")[:2] for line in problems] == [
        ["bridge.yaml:3", "kinetica.username"],
        ["bridge.yaml:4", "kinetica.timeout"],
        ["bridge.yaml:7", "tables[0].sinks[0]"],
        ["bridge.yaml:8", "tables[0].snapshot"],
        ["bridge.yaml:9", "tables[1].name"],
        ["bridge.yaml:11", "sinks.out.type"],
        ["bridge.yaml:12", "sinks.hook.path"],
        ["bridge.yaml:13", "colour"],
    ]


def test_what_the_environment_put_in_is_never_shown(refused: Refused) -> None:
    """A variable may hold a secret wherever it is used."""
    problems = refused(
        _kinetica("timeout: ${A}\n  probe_interval: ${B}\n  monitor_port: ${C}")
        + "log: {level: '${D}'}\n",
        A="hunter2",
        B="12345",
        C="hunter2",
        D="hunter2",
    )

    assert problems == [
        "bridge.yaml:3: kinetica.timeout: ${A} is not a duration like 500ms, 30s, 20m, 2h or 7d",
        f"bridge.yaml:4: kinetica.probe_interval: ${{B}} has no unit: {_DURATION} ${{B}}s",
        "bridge.yaml:5: kinetica.monitor_port: wanted a whole number, not ${C}",
        "bridge.yaml:7: log.level: must be debug, info, warning or error, not ${D}",
    ]


def test_a_short_number_from_the_environment_spoils_no_unit(refused: Refused) -> None:
    """The advice stays readable: 7 is taken out where it stands alone, and not of 7d."""
    problems = refused(_kinetica("timeout: ${A}"), A="7")

    assert problems == [
        f"bridge.yaml:3: kinetica.timeout: ${{A}} has no unit: {_DURATION} 7s",
    ]


def test_a_list_with_an_unset_variable_in_it_is_one_problem(refused: Refused) -> None:
    """That the list is short of a URL only follows."""
    problems = refused("kinetica: {urls: ['${A}', b]}\n" + TABLES)

    (problem,) = problems
    assert problem.startswith("bridge.yaml:1: kinetica.urls[0]: environment variable A is not set")


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(refused: Refused) -> None:
    """The byte that is wrong is named, and where it stands."""
    problems = refused(b"kinetica:\n  urls: caf\xe9\n")

    assert problems == [
        "bridge.yaml:2: not UTF-8: byte 0xe9 is no part of it; save the file as UTF-8"
    ]


def test_aliases_that_unfold_without_end_are_refused(refused: Refused) -> None:
    """Nine lines cannot fill the memory, and a list within itself ends."""
    levels = "".join(
        f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else '0, 0'}]\n" for n in range(9)
    )

    assert any("unfold to more" in line for line in refused(levels))
    assert any("unfold to more" in line for line in refused("a: &a [*a]\n"))
    assert refused("a: &a\n  <<: *a\n" + dedent(BOTH))


def test_nesting_without_end_is_refused(refused: Refused) -> None:
    """Ten thousand brackets are an error of the file, not of the program."""
    assert refused("[" * 10_000) == ["bridge.yaml:1: not valid YAML: nested more than 40 deep"]
