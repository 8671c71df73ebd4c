"""Planted secrets: none is in the log, in an error, on a page or in a metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from services.kinetica import Program
from services.outside import FAST, Service, until
from services.process import free_port, run_command
from services.webhook import Answer, Request, WebhookReceiver

TABLE = "ki_home.orders"
SECRET = "hunter2-5f1c9e-planted"
PAGES = ("/readyz", "/metrics", "/livez", "/", "/api/status")


def config(program: Program, **hook: Any) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"hook": {"type": "webhook", "retry": FAST, **hook}},
        "log": {"level": "debug"},
    }


def said_everywhere(
    folder: Path,
    settings: Mapping[str, Any],
    program: Program,
    *,
    env: Mapping[str, str] | None = None,
    fails: bool = True,
) -> dict[str, str]:
    """Run until a row was tried and shown, or the service is refused; return all that was said."""
    program.create(TABLE)
    with Service(folder, settings, env=env) as service:
        until(
            lambda: service.process.poll() is not None or service.readyz().get("tables"),
            "the service answers, or refuses its configuration",
            service.said,
        )
        if service.process.poll() is not None:
            assert service.process.returncode == 2, service.said()
            return {"stderr": service.log_text()}
        service.wait_tables(TABLE)
        program.insert(TABLE, range(3))
        until(
            lambda: (
                (
                    service.sink("hook")["error"]
                    or service.counted("dead_lettered") + service.counted("delivered")
                )
                if fails
                else service.counted("delivered") == 3
            ),
            "the webhook's failure in /readyz" if fails else "three rows delivered",
            service.said,
        )
        said = {page: service.page(page) for page in PAGES}
        said["check"] = told(run_command("check", "-c", str(service.config_file), env=env))
        service.terminate()
        said["dead letters"] = told(
            run_command("deadletters", "ls", "-c", str(service.config_file), env=env)
        )
        said["log"] = service.log_text()
    return said


def told(ran: Any) -> str:
    return str(ran.stdout) + str(ran.stderr)


def assert_unsaid(said: Mapping[str, str], *secrets: str) -> None:
    """Assert that no text has one of the secrets."""
    for place, text in said.items():
        for secret in secrets:
            at = text.find(secret)
            assert at < 0, (
                f"expected: the secret nowhere\nseen: in {place}: "
                f"...{text[max(0, at - 200) : at + 60]!r}"
            )


@pytest.mark.parametrize("end", ["\n", "\r\nX-Other: 1", "\x00", "\u2028é"])
def test_a_bearer_token_that_no_header_can_carry(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, end: str
) -> None:
    """A line end within the token: refused or waiting, and what is said does not quote it."""
    settings = config(
        program, url=webhook_receiver.url, bearer_token=f"{SECRET}{end}{SECRET[::-1]}"
    )

    said = said_everywhere(tmp_path, settings, program)

    assert_unsaid(said, SECRET, SECRET[::-1])


def test_a_redirect_with_a_token_in_its_address(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """The receiver answers 302 to an address with a token: not followed, not quoted."""
    location = f"http://127.0.0.1:{webhook_receiver.port}/{SECRET}?token={SECRET}&a=1#{SECRET}"
    webhook_receiver.answer = lambda _: Answer(302, {"Location": location})
    settings = config(program, url=webhook_receiver.url)

    said = said_everywhere(tmp_path, settings, program)

    assert "302" in said["/readyz"], f"expected: the status\nseen: {said['/readyz']}"
    assert {request.path for request in webhook_receiver.requests} == {"/hook"}
    assert_unsaid(said, SECRET)


def test_the_query_of_the_address_itself(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A token in the configured address: an answer that fails names the address without it."""
    webhook_receiver.answer = lambda _: Answer(503)
    settings = config(program, url=f"{webhook_receiver.url}?key={SECRET}")

    said = said_everywhere(tmp_path, settings, program)

    assert_unsaid(said, SECRET)


@pytest.mark.parametrize("status", [200, 302, 400, 410, 503, None])
def test_an_address_that_is_the_secret(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, status: int | None
) -> None:
    """From `url_file`: said nowhere, neither its path nor its port, whatever is echoed of it."""
    port = webhook_receiver.port if status else free_port()
    url = f"http://localhost:{port}/services/{SECRET}/{{table}}?key={SECRET[::-1]}"
    (tmp_path / "hook.url").write_text(f"{url}\n")

    def answer(request: Request) -> Answer:
        echo = f"{request.headers['Host']} {request.path} {url}"
        return Answer(status or 0, {"Location": url, "X-You-Asked": request.path}, echo.encode())

    webhook_receiver.answer = answer
    settings = config(program, url_file=str(tmp_path / "hook.url"))

    said = said_everywhere(tmp_path, settings, program, fails=status != 200)

    assert_unsaid(said, SECRET, SECRET[::-1], f"localhost:{port}")


def test_a_token_with_a_line_end_from_the_environment(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """As a file of the orchestrator's leaves it: it is used without."""
    settings = config(program, url=webhook_receiver.url, bearer_token="${HOOK_TOKEN}")

    env = {"HOOK_TOKEN": f"{SECRET}\n"}
    said = said_everywhere(tmp_path, settings, program, env=env, fails=False)

    assert webhook_receiver.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert_unsaid(said, SECRET)


def test_the_query_of_an_address_that_nobody_answers(program: Program, tmp_path: Path) -> None:
    """The library's own error text quotes the path with its query: it is cleaned."""
    settings = config(program, url=f"http://127.0.0.1:{free_port()}/hook?key={SECRET}")

    said = said_everywhere(tmp_path, settings, program)

    assert_unsaid(said, SECRET)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:{secret}@127.0.0.1:{port}",
        "http://user:{secret}@127.0.0.1:no-port",
        "http://user:{secret}/x@127.0.0.1:{port}",
        "http://user:{secret}#x@127.0.0.1:{port}",
        "http://user:{secret}?x@127.0.0.1:{port}",
        "user:{secret}@127.0.0.1:{port}",
    ],
)
def test_a_proxy_with_a_password(program: Program, tmp_path: Path, proxy: str) -> None:
    """A proxy that is away, or a password that was not percent-encoded: it is not quoted."""
    env = {
        "http_proxy": proxy.format(secret=SECRET, port=free_port()),
        "HTTP_PROXY": "",
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }
    settings = config(program, url="http://receiver.invalid/hook")

    said = said_everywhere(tmp_path, settings, program, env=env)

    assert_unsaid(said, SECRET)


@pytest.mark.parametrize("status", [400, 401, 500, 503])
def test_an_answer_that_quotes_our_credentials(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, status: int
) -> None:
    """A receiver that is in debug mode sends our headers back: they are not quoted further."""

    def answer(request: Request) -> Answer:
        return Answer(status, body=f"you sent {request.headers['Authorization']}".encode())

    webhook_receiver.answer = answer
    settings = config(program, url=webhook_receiver.url, bearer_token=SECRET)

    said = said_everywhere(tmp_path, settings, program)

    assert_unsaid(said, SECRET)


def test_credentials_of_every_kind_that_are_simply_used(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A key, a password and a header that work are sent, and said nowhere, at level debug."""
    settings = config(
        program,
        url=webhook_receiver.url,
        secret=f"key-{SECRET}",
        username="bridge",
        password=f"pass-{SECRET}",
        headers={"X-Api-Key": f"api-{SECRET}"},
    )

    said = said_everywhere(tmp_path, settings, program, fails=False)

    assert webhook_receiver.requests[0].headers["X-Api-Key"] == f"api-{SECRET}"
    assert_unsaid(said, SECRET)


def test_a_password_for_a_broker_that_refuses_or_is_away(program: Program, tmp_path: Path) -> None:
    """librdkafka's texts are a library's: the password in `options` is in none that we say."""
    program_config = config(program)
    program_config["sinks"] = {
        "hook": {
            "type": "kafka",
            "bootstrap_servers": f"127.0.0.1:{free_port()}",
            "topic": "t",
            "retry": FAST,
            "options": {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "bridge",
                "sasl.password": SECRET,
            },
        }
    }

    said = said_everywhere(tmp_path, program_config, program)

    assert_unsaid(said, SECRET)
