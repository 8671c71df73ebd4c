"""`admin.tls`: the admin endpoint over https, asked by other clients and by our own commands."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import urllib.request
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from services.process import BridgeProcess, EmulatorProcess, free_port, run_command, wait_until

NAME = "bridge.example"  # and no address of this machine


class Https(BridgeProcess):
    """A service whose admin endpoint has a certificate of an authority of its own."""

    def __init__(self, folder: Path, kinetica: EmulatorProcess, **tls: str) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.issue()
        self.port = free_port()
        files = {"cert_file": str(self.cert), "key_file": str(self.key)}
        admin = {"listen": f"127.0.0.1:{self.port}", "tls": files | tls}
        tables = [{"name": "ki_home.orders"}]
        super().__init__(
            folder, {"kinetica": {"urls": [kinetica.url]}, "tables": tables, "admin": admin}
        )

    def issue(self) -> None:
        """Replace certificate and key by new ones."""
        issued = self.authority.issue_cert(NAME)
        issued.cert_chain_pems[0].write_to_path(self.cert)
        issued.private_key_pem.write_to_path(self.key)

    def connect(self) -> ssl.SSLSocket:
        """Connect as a client that knows the authority, and the name."""
        context = ssl.create_default_context(cafile=self.ca)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname=NAME)

    def get_json(self, path: str) -> tuple[int, dict[str, Any]]:
        with contextlib.suppress(OSError, HTTPException), self.connect() as connection:
            client = HTTPConnection(NAME)
            client.sock = connection
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, json.load(answer)
        return 0, {}

    def wait_answers(self) -> Https:
        wait_until(lambda: self.get_json("/readyz")[1].get("tables"), "/readyz answers")
        return self

    def run(self, *command: str) -> tuple[int, str]:
        """Run one of our commands; its exit code, and all that it said."""
        ran = run_command(*command, "-c", str(self.config_file))
        return ran.returncode, ran.stdout + ran.stderr

    def failed_handshakes(self) -> list[dict[str, Any]]:
        whole = self.log_file.read_text().rpartition("\n")[0].splitlines()
        return [x for x in map(json.loads, whole) if x["event"] == "admin_handshake_failed"]


def test_commands_and_clients_speak_https(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """The certificate names no address of this machine, and its authority is not the system's."""
    with Https(tmp_path, kinetica) as bridge:
        bridge.wait_answers()

        assert bridge.run("health") == (0, "alive\n")
        code, status = bridge.run("status", "--json")
        assert (code, "ki_home.orders" in status) == (0, True), status
        assert bridge.run("sinks", "ls", "--json")[0] == 0
        code, checked = bridge.run("check")
        assert "the running service answers" in checked
        assert bridge.terminate() == 0


def test_whoever_is_not_the_service_gets_no_token(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Another certificate of the same authority does not do."""
    with Https(tmp_path, kinetica) as bridge:
        bridge.wait_answers()
        bridge.issue()  # what the commands trust; the service shows the one before

        code, said = bridge.run("sinks", "ls")
        assert code == 1
        assert "shows a certificate that is not trusted" in said
        assert bridge.run("health") == (0, "alive\n")  # that is no matter of trust


def test_health_finds_a_service_that_does_not_speak_what_the_file_says_by_now(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """A file that was changed and not taken over is no reason to end a service that is alive."""
    with Https(tmp_path, kinetica) as bridge:
        bridge.wait_answers()
        https = bridge.config_file.read_text()
        plain = bridge.config | {"admin": {"listen": bridge.config["admin"]["listen"]}}
        bridge.config_file.write_text(yaml.safe_dump(plain))
        assert bridge.run("health") == (0, "alive\n")
        code, said = bridge.run("status")
        assert (code, "the file says http; if the service still speaks https" in said) == (1, True)

        bridge.signal(signal.SIGHUP)
        wait_until(lambda: BridgeProcess.get_json(bridge, "/livez")[0] == 200, "plain http")
        bridge.config_file.write_text(https)
        assert bridge.run("health") == (0, "alive\n")
        code, said = bridge.run("status")
        assert (code, "the file says https; if the service still speaks http" in said) == (1, True)

        bridge.terminate()
        code, said = bridge.run("health")
        assert (code, "no service at" in said) == (1, True), said


def test_with_an_authority_its_certificates_are_trusted_on_loopback(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Whatever name they are for; one that the service has not taken up yet is no trouble."""
    with Https(tmp_path, kinetica, ca_file=str(tmp_path / "ca.pem")) as bridge:
        bridge.wait_answers()
        bridge.issue()

        assert bridge.run("status", "--json")[0] == 0


def test_a_certificate_renewed_in_its_place_is_taken_up_by_a_reload(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """One that does not match its key is refused, and the one before is shown on."""
    with Https(tmp_path, kinetica) as bridge:
        bridge.wait_answers()

        def shown() -> bytes:
            with bridge.connect() as connection:
                return connection.getpeercert(binary_form=True) or b""

        def events() -> list[str]:
            return [line["event"] for line in bridge.log()]

        before = shown()
        key = bridge.key.read_text()
        bridge.issue()
        new_key = bridge.key.read_text()
        bridge.key.write_text(key)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: "reload_refused" in events(), "a reload that is refused")
        assert shown() == before

        bridge.key.write_text(new_key)
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in events(), "a reload")
        assert [x["renewed"] for x in bridge.log() if x["event"] == "reloaded"] == [["admin.tls"]]
        wait_until(lambda: shown() != before, "the new certificate")
        assert bridge.run("status", "--json")[0] == 0


def test_who_shakes_no_hands_holds_up_nobody(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """More connections than are kept say nothing; others are answered, and plain http is closed."""
    with Https(tmp_path, kinetica) as bridge, contextlib.ExitStack() as silent:
        bridge.wait_answers()
        first = silent.enter_context(socket.create_connection(("127.0.0.1", bridge.port)))
        for _ in range(250):
            silent.enter_context(socket.create_connection(("127.0.0.1", bridge.port)))
        assert bridge.get_json("/livez") == (200, {"status": "ok"})
        first.settimeout(60)
        assert first.recv(1) == b""  # it had to go

        for _ in range(20):
            with pytest.raises((OSError, HTTPException)):
                urllib.request.urlopen(f"http://127.0.0.1:{bridge.port}/livez", timeout=10)
        assert len(bridge.failed_handshakes()) == 1
        assert bridge.get_json("/livez")[0] == 200


def test_what_has_begun_a_handshake_and_does_not_end_it_is_closed(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Its thread ends with it."""
    with Https(tmp_path, kinetica) as bridge:
        bridge.wait_answers()
        with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as half:
            half.sendall(b"\x16\x03\x01")
            assert half.recv(1) == b""
        assert bridge.failed_handshakes()[0]["cause"] == "no handshake within 10 s"


def test_a_key_of_another_certificate_is_named(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """By `check`, and by `run` before it starts anything: exit code 2."""
    bridge = Https(tmp_path, kinetica)
    trustme.CA().issue_cert(NAME).private_key_pem.write_to_path(bridge.key)

    for command in (["check"], ["check", "--offline"], ["run"]):
        code, output = bridge.run(*command)
        assert code == 2
        assert output.startswith(f"{bridge.config_file}:")
        assert f"the key in {bridge.key} is not that of the certificate in {bridge.cert}" in output
    assert not (tmp_path / "journal").exists()
