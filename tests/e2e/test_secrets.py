"""A dozen secrets, each in a place it can come from; everything that comes out is searched."""

from __future__ import annotations

import base64
import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization as keys
from services import careless_sink
from services.echo import EchoServer
from services.kinetica import KEYED, Program
from services.outside import FAST, Service, until
from services.process import free_port, run_command
from services.webhook import Answer, Request, WebhookReceiver

from kinetica_emulator import Emulator

TABLE = "ki_home.orders"
MARK = "5f1c9e-PLANTED"


def planted(name: str) -> str:
    """A secret of a name of its own; long, so that what is cut short holds a part of it."""
    return f"{MARK}-{name}-{'0123456789' * 5}"


def traces() -> list[str]:
    """How the mark may appear: as it is, or within base64 at each of its three alignments."""
    found = [MARK]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + MARK.encode() + b"\0\0").decode()
        found.append(text[-(-before * 8 // 6) : (before + len(MARK)) * 8 // 6])
    return found


def assert_unsaid(said: Mapping[str, str], *more: str) -> None:
    """Assert that no text has a planted secret, or a part of one, or one of some more."""
    for place, text in said.items():
        for trace in (*traces(), *more):
            at = text.find(trace)
            shown = f"seen: in {place}: …{text[max(0, at - 300) : at + 100]!r}"
            assert at < 0, f"expected: the secret nowhere\n{shown}"


def environment(folder: Path, echo: EchoServer) -> dict[str, str]:
    """The variables that hold secrets: ours, and a proxy's."""
    return {
        **careless_sink.install(folder),
        "KINETICA_PASSWORD": planted("kinetica"),
        "BEARER": planted("bearer"),
        "SASL": planted("sasl"),
        "DSN": f"postgresql://bridge:{planted('dsn')}@127.0.0.1:{echo.port}/orders",
        "http_proxy": f"http://bridge:{planted('proxy')}@127.0.0.1:{echo.port}",
        "HTTP_PROXY": "",
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }


def config(folder: Path, emulator: Emulator, echo: EchoServer, hook: str) -> dict[str, Any]:
    """Every place that a secret can come from; each destination but two fails, and says why."""

    def file(name: str, text: str = "") -> str:
        path = folder / f"{name}.secret"
        path.write_text(f"{text or planted(name)}\n")
        return str(path)

    away = {"bootstrap_servers": f"127.0.0.1:{free_port()}", "topic": "t", "retry": FAST}
    registry = {"url": f"http://127.0.0.1:{echo.port}", "username": "bridge"}
    return {
        "kinetica": {
            "urls": [emulator.url, f"http://127.0.0.1:{echo.port}"],
            "username": "bridge",
            "password": "${KINETICA_PASSWORD}",
        },
        "tables": [
            {"name": TABLE, "mask": {"note": "hash"}, "mask_key_file": file("mask-key")},
        ],
        "sinks": {
            "audit": {"type": "file", "path": str(folder / "out" / "{table}.jsonl")},
            "hook": {
                "type": "webhook",
                "url_file": file("hook-url", f"{hook}/{planted('path')}?key={planted('query')}"),
                "secret_file": file("signing"),
                "previous_secret": planted("signed-before"),
                "bearer_token": "${BEARER}",
                "headers": {"X-Api-Key": planted("header"), "X-Other_file": file("header-file")},
                "batch": {"max_events": 1},
                "retry": FAST,
            },
            "proxied": {
                "type": "webhook",
                "url": f"http://receiver.invalid/hook?key={planted('url')}",
                "username": "bridge",
                "password": planted("login"),
                "retry": FAST,
            },
            "sasl": {
                "type": "kafka",
                **away,
                "bootstrap_servers": f"127.0.0.1:{echo.port}",
                "options": {
                    "security.protocol": "SASL_PLAINTEXT",
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": "bridge",
                    "sasl.password": "${SASL}",
                    "debug": "all",
                },
            },
            "tls": {
                "type": "kafka",
                **away,
                "options": {
                    "security.protocol": "SSL",
                    "ssl.key.password_file": file("key-password"),
                    "ssl.key.pem": encrypted_key(planted("key-password")),
                    "ssl.certificate.pem": CERTIFICATE.cert_chain_pems[0].bytes().decode(),
                    "debug": "all",
                },
            },
            "registered": {
                "type": "kafka",
                **away,
                "format": "avro",
                "schema_registry": {**registry, "password_file": file("registry")},
            },
            "database": {"type": "postgres", "dsn": "${DSN}", "retry": FAST},
            "streams": {
                "type": "redis",
                "url_file": file("redis", f"redis://:{planted('redis')}@127.0.0.1:{echo.port}/0"),
                "retry": FAST,
            },
            "careless": {"type": "careless", "api_key": planted("api-key"), "retry": FAST},
        },
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token_file": file("admin-token")},
    }


CERTIFICATE = trustme.CA().issue_cert("bridge.example")


def encrypted_key(password: str) -> str:
    """The key of our certificate, under a password."""
    key = keys.load_pem_private_key(CERTIFICATE.private_key_pem.bytes(), None)
    text = key.private_bytes(
        keys.Encoding.PEM,
        keys.PrivateFormat.PKCS8,
        keys.BestAvailableEncryption(password.encode()),
    )
    return text.decode()


@contextmanager
def cluster() -> Iterator[Emulator]:
    """A cluster that knows the bridge's user by its password."""
    with Emulator(port=0, monitor_port=0) as emulator:
        emulator.add_user("bridge", planted("kinetica"))
        emulator.grant("bridge", "system_admin")
        Program(emulator.url).create(TABLE, columns=KEYED)
        yield emulator


def refuse_one(request: Request) -> Answer:
    """Take every event but that of row 1, for which all that was sent is quoted."""
    if b'"id":1,' not in request.body:
        return Answer()
    return Answer(400, body=f"you sent {request.path} {dict(request.headers)}".encode())


def pages(service: Service) -> dict[str, str]:
    """Everything that the admin endpoint shows to who has the token."""

    def page(path: str) -> str:
        token = {"Authorization": f"Bearer {planted('admin-token')}"}
        try:
            asked = urllib.request.Request(service.admin + path, headers=token)
            with urllib.request.urlopen(asked, timeout=10) as reply:
                return str(reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())

    listed = json.loads(page("/nowhere"))["pages"]
    assert {"/", "/metrics", "/readyz", "/api/deadletters", "/api/tail"} <= set(listed)
    return {path: page(path) for path in [*listed, "/api/deadletters/1", "/nowhere"]}


COMMANDS = (
    "check --json",
    "check --sample",
    "deadletters ls --json",
    "deadletters show 1 --json",
    "gaps ls --all",
    "journal ls",
    "journal show 1",
    "sinks ls",
    "status",
    "status --json",
)


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_from_everywhere_come_out_nowhere(
    tmp_path: Path, webhook_receiver: WebhookReceiver, form: str
) -> None:
    """Log at debug, pages, commands, refused reload, tracebacks, journal: none has one."""
    webhook_receiver.answer = refuse_one
    with EchoServer() as echo, cluster() as emulator:
        env = environment(tmp_path, echo)
        settings = config(tmp_path, emulator, echo, webhook_receiver.url)
        settings["log"] = {"level": "debug", "format": form}
        failing = set(settings["sinks"]) - {"audit", "hook"}
        with Service(tmp_path, settings, env=env) as service:
            service.wait_tables(TABLE)
            Program(emulator.url).insert(TABLE, range(4))
            until(
                lambda: all(service.sink(name).get("error") for name in failing),
                "every destination that fails says why",
                service.said,
            )
            until(
                lambda: service.counted("dead_lettered", sink="hook") == 1,
                "row 1 set aside",
                service.said,
            )
            until(
                lambda: service.counted("delivered", sink="audit") >= 4, "four rows", service.said
            )

            said = pages(service)
            for command in COMMANDS if form == "json" else ():  # they print the same for both
                arguments = [*command.split(), "-c", str(service.config_file)]
                ran = run_command(*arguments, env=env)
                assert ran.returncode == (3 if command.startswith("check") else 0), ran.stderr
                said[command] = ran.stdout + ran.stderr
            service.reload({"kinetica": {**settings["kinetica"], "password": [planted("list")]}})
            until(lambda: "reload_refused" in service.log_text(), "the refusal", service.said)
            service.reload({"kinetica": {**settings["kinetica"], "timeout": "29s"}})
            until(lambda: re.search(r"\breloaded\b", service.log_text()), "reloaded", service.said)
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
            said["log"] = service.log_text()
        files = [path for path in (tmp_path / "journal").rglob("*") if path.is_file()]
        files.append(tmp_path / "out" / f"{TABLE}.jsonl")

    assert all(quoted in said["log"] for quoted in ("librdkafka", "Traceback"))
    assert "you sent" in said["/api/deadletters/1"]
    assert any(path.name == "state.db" for path in files)
    for name in ("kinetica", "proxy", "registry", "login"):
        login = base64.b64encode(f"bridge:{planted(name)}".encode())
        assert login in echo.heard, f"expected: {name} used, and quoted by the server"
    left = files.pop(files.index(tmp_path / "journal" / "admin.token")).read_text().strip()
    stored = {str(path): path.read_bytes().decode("latin-1") for path in files}
    assert_unsaid(said | stored, left)


@pytest.mark.parametrize("broken", ["from_the_start", "place"])
def test_a_command_that_a_plug_in_ends_says_no_secret_of_it(tmp_path: Path, broken: str) -> None:
    """As an error, and with the traceback of a fault."""
    env = careless_sink.install(tmp_path)
    with cluster() as emulator:
        path = tmp_path / "bridge.yaml"
        settings = {
            "kinetica": {"urls": [emulator.url]},
            "journal": {"path": str(tmp_path / "journal")},
            "tables": [{"name": TABLE}],
            "sinks": {"out": {"type": "careless", "api_key": planted("key"), "broken": broken}},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
        }
        path.write_text(yaml.safe_dump(settings))
        ran = {"check": run_command("check", "-c", str(path), env=env)}
        if broken == "from_the_start":
            ran["run"] = run_command("run", "-c", str(path), env=env)

    assert all(each.returncode == 1 for each in ran.values())
    assert all("cannot send" in each.stderr for each in ran.values())
    assert_unsaid({name: each.stdout + each.stderr for name, each in ran.items()})
