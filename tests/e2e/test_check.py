"""`check` in broken environments: each is named, with its cause and its cure."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from services.kinetica import KEYED, Program
from services.mock_kafka import MockKafka
from services.process import BridgeProcess, free_port, run_command, wait_until
from services.webhook import WebhookReceiver

from bridge.cli.check_finding import Finding
from kinetica_emulator import Emulator

TABLE = "ki_home.orders"


@pytest.fixture
def cluster() -> Iterator[Emulator]:
    with Emulator(port=0, monitor_port=0) as emulator:
        Program(emulator.url).create(TABLE, columns=KEYED)
        yield emulator


class Checks:
    """Runs `check` with a configuration in which some parts are changed."""

    def __init__(self, folder: Path, cluster: Emulator) -> None:
        self.folder = folder
        self.good: dict[str, Any] = {
            "kinetica": {"urls": [cluster.url], "timeout": "3s"},
            "journal": {"path": str(folder / "journal")},
            "tables": [{"name": TABLE}],
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
        }
        self.code = 0

    def run(self, env: dict[str, str] | None = None, **parts: Any) -> list[Finding]:
        """Return what is not well; the exit code must say whether something failed."""
        path = self.folder / "bridge.yaml"
        path.write_text(yaml.safe_dump(self.good | parts, sort_keys=False))
        result = run_command("check", "--json", "-c", str(path), env=env)
        assert result.stderr == ""
        found = [Finding(**json.loads(line)) for line in result.stdout.splitlines()]
        assert result.returncode == (3 if any(each.failed for each in found) else 0)
        return [each for each in found if each.mark != "ok"]

    def one(self, env: dict[str, str] | None = None, **parts: Any) -> Finding:
        """Return the one thing that is not well."""
        (found,) = self.run(env, **parts)
        return found


@pytest.fixture
def checks(tmp_path: Path, cluster: Emulator) -> Checks:
    return Checks(tmp_path, cluster)


def has(finding: Finding, mark: str, *texts: str) -> None:
    """Assert that a finding has a mark, and these texts in it, in this order."""
    assert finding.mark == mark, finding
    assert re.search(".*".join(map(re.escape, texts)), str(finding), re.DOTALL), str(finding)


def test_a_monitor_port_that_cannot_be_used_is_named(checks: Checks, cluster: Emulator) -> None:
    """Closed, silent, and switched off on the server are three things with three cures."""
    cluster.close_monitor_port()
    has(
        checks.one(), "FAILED", "monitor port tcp://127.0.0.1:", "closed", "do: open port", "nc -vz"
    )
    cluster.heal()
    cluster.mute_monitor_port()
    has(checks.one(), "FAILED", "no ZeroMQ peer answers there", "do: set kinetica.monitor_port")
    cluster.heal()
    cluster.traits.monitors = False
    has(checks.one(), "FAILED", "switched off on the server", "do: set set_monitor_port = 9002")


def test_a_user_without_rights_is_told_the_grants_to_type(
    checks: Checks, cluster: Emulator
) -> None:
    """What `check` says is typed as it stands, and then it is well."""
    cluster.add_user("bridge", "secret")
    login = {**checks.good["kinetica"], "username": "bridge"}
    wrong = checks.run(kinetica={**login, "password": "wrong"})
    has(wrong[0], "FAILED", "credentials refused", "do: mend kinetica.username", "curl -u bridge")

    good = {**login, "password": "secret"}
    read, monitor = checks.run(kinetica=good)
    has(read, "FAILED", f"rights on table {TABLE}", f"GRANT SELECT ON TABLE {TABLE} TO", "bridge")
    has(monitor, "FAILED", "no monitor of it may be made", "do: curl", "/grant/permission")
    Program(cluster.url).create("ki_home.orders_2", columns=KEYED)
    pattern = checks.run(kinetica=good, tables=[{"name": "ki_home.orders*"}])
    assert {finding.what for finding in pattern} == {f"rights on table {TABLE}"}
    for finding in (read, monitor):
        (body,) = re.findall(r"-d '(\{.*?\}\})'", finding.cure)
        Program(cluster.url).call("/grant/permission", **json.loads(body))
    assert checks.run(kinetica=good) == []
    assert Program(cluster.url).call("/show/tablemonitors", monitor_ids=[])["monitor_ids"] == []


def test_tables_and_their_columns_are_looked_at(checks: Checks, cluster: Emulator) -> None:
    """A name that is nearly right, columns absent, without an order, or with nulls; a filter."""
    program = Program(cluster.url)
    program.create(
        "ki_home.items",
        columns={"id": ["long"], "body": ["string", "json"], "raw": ["bytes"]},
    )
    program.call(
        "/execute/sql",
        statement="CREATE TABLE ki_home.visits (id LONG NOT NULL, changed LONG)",
        offset=0,
        limit=-9999,
        encoding="json",
        request_schema_str="",
        data=[],
    )
    tables = [
        {"name": "ki_home.ordrs"},
        {"name": "nowhere.orders"},
        {"name": "ki_home.orders", "catch_up": {"column": "idd"}},
        {"name": "ki_home.items", "catch_up": {"column": "body"}, "update_rows": {"column": "raw"}},
        {"name": "ki_home.visits", "catch_up": "off", "filter": "nope > 1"},
        {"name": "ki_home.x*"},
    ]
    tables[4]["update_rows"] = {"column": "changed"}
    found = checks.run(tables=tables)
    expected = [
        ("FAILED", "table ki_home.ordrs", "does not exist", "do: did you mean ki_home.orders?"),
        ("FAILED", "table nowhere.orders", "do"),
        ("FAILED", "has no column idd", "did you mean id? mend catch_up.column"),
        ("FAILED", "catch_up.column of table ki_home.items", "body is json", "no order", "id;"),
        ("FAILED", "update_rows.column of table ki_home.items", "raw is bytes", "no order"),
        ("warning", "update_rows.column of table ki_home.visits", "may be null", "NOT NULL"),
        ("FAILED", "filter of table ki_home.visits", "Kinetica refuses it", "do: mend"),
        ("warning", "pattern ki_home.x*", "means no table", "ki_home has ki_home.items"),
    ]
    assert len(found) == len(expected), "\n".join(map(str, found))
    for finding, (mark, *texts) in zip(found, expected, strict=True):
        has(finding, mark, *texts)


def test_the_cluster_itself_is_told_from_what_else_may_be_there(
    checks: Checks, cluster: Emulator, webhook_receiver: WebhookReceiver
) -> None:
    """Nobody, a name unknown, another program, one that is silent, one that is not running."""
    kinetica = checks.good["kinetica"]
    urls = ["http://127.0.0.1:1", "http://nowhere.invalid:9191", webhook_receiver.url, cluster.url]
    nobody, unknown, other = checks.run(kinetica={**kinetica, "urls": urls})
    has(nobody, "FAILED", "refused", "do: nothing listens at 127.0.0.1:1")
    has(unknown, "FAILED", "nowhere.invalid", "getent hosts nowhere.invalid")
    has(other, "FAILED", "not a reply of Kinetica", "do: another program answers there")
    cluster.drain()
    draining, tables = checks.run()
    has(draining, "FAILED", "draining", "do: ")
    has(tables, "FAILED", "no cluster to ask")


def test_clocks_that_differ_are_a_warning(checks: Checks, cluster: Emulator) -> None:
    """It works, and the exit code is 0."""
    cluster.traits.clock_offset = 3600.0
    has(checks.one(), "warning", "clock of", "3,600 seconds ahead", "do: let both keep time by NTP")


@contextmanager
def tls_before(port: int, cert: trustme.LeafCert) -> Iterator[int]:
    """Put TLS before a port of this machine; the port where it answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)

    def serve(raw: socket.socket) -> None:
        with closing(raw), closing(socket.create_connection(("127.0.0.1", port))) as inner:
            try:
                outer = context.wrap_socket(raw, server_side=True)
            except OSError:
                return
            with outer:
                back = threading.Thread(target=_copy, args=(inner, outer))
                back.start()
                _copy(outer, inner)
                inner.shutdown(socket.SHUT_RDWR)
                back.join()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    raw, _ = server.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(raw,)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for thread in threads:
            thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return


def test_a_certificate_of_another_name_or_authority_is_named(
    checks: Checks, cluster: Emulator
) -> None:
    """The name is mended in the URL, the authority in kinetica.tls; plain HTTP is said."""
    authority = trustme.CA()
    ca_file = checks.folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    inner = int(cluster.url.rpartition(":")[2])
    with tls_before(inner, authority.issue_cert("kinetica.example")) as port:
        kinetica: dict[str, Any] = {"urls": [f"https://127.0.0.1:{port}"], "timeout": "3s"}
        unknown = checks.run(kinetica=kinetica)[0]
        kinetica["tls"] = {"ca_file": str(ca_file)}
        misnamed = checks.run(kinetica=kinetica)[0]
    has(unknown, "FAILED", "TLS", "do: set kinetica.tls.ca_file")
    has(misnamed, "FAILED", "TLS", "do: name the cluster in kinetica.urls as its certificate does")
    plain = checks.run(kinetica={**kinetica, "urls": [f"https://127.0.0.1:{inner}"]})[0]
    has(plain, "FAILED", "TLS", "do: the server speaks no TLS: write http://")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/proc/nowhere/journal", "nothing can be made in /proc"),
        ("/dev/null/journal", "/dev/null is no folder"),
        ("/tmp/" + "x" * 300, "there can be no folder of that name"),
    ],
)
def test_a_journal_where_not_even_root_can_write_is_named(
    checks: Checks, path: str, text: str
) -> None:
    """It is tried, as rights tell root nothing; without a number of an error."""
    finding = checks.one(journal={"path": path})
    has(finding, "FAILED", f"journal {path}", text, "do: chown")
    assert "Errno" not in str(finding)


def test_a_disk_smaller_than_the_journal_may_grow_is_a_warning(checks: Checks) -> None:
    """What would fit is said."""
    finding = checks.one(journal={**checks.good["journal"], "max_size": "900TiB"})
    has(finding, "warning", "free is less than journal.max_size", "do: set journal.max_size to")


def test_an_admin_port_that_cannot_be_had_is_named(checks: Checks) -> None:
    """Taken by another program, or of an address that this machine has not."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_hang_up, args=(other,), daemon=True).start()
        port = other.getsockname()[1]
        taken = checks.one(admin={"listen": f"127.0.0.1:{port}"})
        other.shutdown(socket.SHUT_RDWR)
    has(taken, "FAILED", f"admin port 127.0.0.1:{port}", "taken by", "do: ss -ltnp")
    elsewhere = checks.one(admin={"listen": "192.0.2.1:9464"})
    has(elsewhere, "FAILED", "no such address", "do: set admin.listen to 0.0.0.0:9464")


def _hang_up(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def test_beside_the_running_service_journal_and_port_are_in_order(
    checks: Checks, tmp_path: Path
) -> None:
    """Not so for another bridge on its journal; a sink that is gone from the file is said."""
    hook = {"type": "webhook", "url": "http://127.0.0.1:1/"}
    with BridgeProcess(tmp_path, {**checks.good, "sinks": {"old": hook}}) as bridge:
        bridge.wait_live()
        Program(checks.good["kinetica"]["urls"][0]).insert(TABLE, range(3))
        wait_until(lambda: bridge.metric("sink_pending_events") >= 3, "events wait")
        forgotten = checks.one(tables=[{"name": TABLE, "sinks": []}])
        other = checks.one(admin={"listen": f"127.0.0.1:{free_port()}"})
    has(forgotten, "warning", "wait for the sink old", "discards them", "do: keep sinks.old")
    has(other, "FAILED", "in use by process", "do: stop that process")


def test_sinks_are_tried_and_their_troubles_have_cures(checks: Checks, cluster: Emulator) -> None:
    """What is away, cannot be, is wrongly written, too wide for a message, or shared."""
    program = Program(cluster.url)
    program.create("ki_home.wide", columns={f"column_{n}": ["long"] for n in range(100)})
    program.create("ki_home.a|b", "ki_home.a_b")
    with MockKafka() as kafka:
        away = {"type": "kafka", "bootstrap_servers": "127.0.0.1:1", "topic": "t"}
        found = checks.run(
            env={"HTTPS_PROXY": "http://127.0.0.1:99999"},
            sinks={
                "away": {"type": "webhook", "url": "http://127.0.0.1:1/"},
                "folder": {"type": "file", "path": "/proc/nowhere/{table}.jsonl"},
                "deep": {"type": "file", "path": str(checks.folder / "a" / "b" / "{table}.jsonl")},
                "proxy": {"type": "webhook", "url": "https://example.com/"},
                "broker": away,
                "wide": {
                    "type": "kafka",
                    "bootstrap_servers": kafka.bootstrap_servers,
                    "topic": "{table}",
                    "options": {"message.max.bytes": 1000},
                },
                "shared": {
                    "type": "kafka",
                    "bootstrap_servers": kafka.bootstrap_servers,
                    "topic": "{table}",
                },
            },
            tables=[
                {"name": TABLE, "sinks": ["away", "folder", "deep", "proxy", "broker"]},
                {"name": "ki_home.wide", "sinks": ["wide"]},
                {"name": "ki_home.a|b", "sinks": ["shared"]},
                {"name": "ki_home.a_b", "sinks": ["shared"]},
            ],
        )
    expected = [
        ("FAILED", "sink away (webhook)", "refused", "do: start the destination, or mend its"),
        ("FAILED", "sink folder (file)", "nothing can be made in /proc", "do: mend sinks.folder"),
        ("warning", "sink deep (file)", "makes the folder", "do: mount the volume"),
        ("FAILED", "sink proxy (webhook)", "the proxy of the environment", "do: write HTTPS_PROXY"),
        ("FAILED", "sink broker (kafka)", "do: start the destination"),
        ("FAILED", "sink wide (kafka)", "1000 at most", "do: raise max.message.bytes"),
        ("warning", "sink shared (kafka)", "share the topic ki_home.a_b", "do: give the tables"),
    ]
    assert len(found) == len(expected), "\n".join(map(str, found))
    for finding, (mark, *texts) in zip(found, expected, strict=True):
        has(finding, mark, *texts)
