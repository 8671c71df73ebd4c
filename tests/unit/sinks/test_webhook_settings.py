"""What a webhook can be configured with, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.foreign import Cleaner
from bridge.sinks.webhook import WebhookSettings

URL = "https://example.com/hook"


def settings(**values: Any) -> WebhookSettings:
    return WebhookSettings.model_validate({"type": "webhook", "url": URL} | values)


def test_batches_have_the_size_receivers_expect() -> None:
    """500 events, 1 MiB, 100 ms; naming one of them leaves the others."""
    batch = settings().batch
    assert (batch.max_events, batch.max_bytes, batch.max_wait) == (500, 2**20, 0.1)

    batch = settings(batch={"max_events": 20}).batch
    assert (batch.max_events, batch.max_bytes, batch.max_wait) == (20, 2**20, 0.1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"url": "example.com/hook"}, "no http:// or https:// address"),
        ({"url": "ftp://example.com"}, "no http:// or https:// address"),
        ({"url": "http://"}, "no http:// or https:// address"),
        ({"url": "http://a:99999/"}, "[Pp]ort"),
        ({"url": "http://me:pw@example.com"}, "username and password"),
        ({"url": "http://example.com/a b"}, "percent-encode"),
        ({"secret": ""}, "secret is empty"),
        ({"secret": "whsec_??"}, "base64"),
        ({"previous_secret": "x"}, "without secret"),
        ({"timeout": "31s"}, "at most 30s"),
        ({"timeout": "0s"}, "more than 0s"),
        ({"headers": {"Content-Type": "text/plain"}}, "set by the bridge"),
        ({"headers": {"Webhook-Id": "1"}}, "set by the bridge"),
        ({"headers": {"X Y": "1"}}, "no header name"),
        ({"headers": {"X-Y": "1\r\nZ: 2"}}, "on one line"),
        ({"username": "a", "bearer_token": "b"}, "username and bearer_token are both given"),
        ({"headers": {"authorization": "b"}, "username": "a"}, "both given"),
        ({"bearer_token": "a\nb"}, "cannot be printed"),
        ({"bearer_token": "größe"}, "no printable ASCII"),
        ({"username": "a", "password": "a\rb"}, "cannot be printed"),
        ({"url": "http://{table}/"}, "path and the query only"),
        ({"url": f"{URL}/{{tabel}}"}, "unknown placeholder {tabel}"),
        ({"success": []}, "at least 1"),
        ({"success": [99]}, "200 to 599"),
        ({"parallel": 0}, "greater than or equal to 1"),
        ({"tls": {"ca_file": "/no/such.pem"}}, "no such file"),
        ({"url": "http://a..b/"}, "no name that there can be"),
        ({"url": None}, "needs a url, or a url_file"),
        ({"url": None, "url_file": "/dev/null"}, "is empty"),
        ({"url_file": "/no/such"}, "cannot read /no/such"),
        ({"compress": "brotli"}, "gzip"),
        ({"headers": {"Content-Encoding": "br"}}, "set by the bridge"),
        ({"headers": {"ce-id": "1"}}, "set by the bridge"),
        ({"format": "cloudevents-binary", "batch": {"max_events": 2}}, "must be 1"),
    ],
)
def test_unusable_settings_are_refused(values: dict[str, Any], reason: str) -> None:
    """Each with what is wrong about it."""
    with pytest.raises(ValidationError, match=reason):
        settings(**values)


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents-binary"])
def test_a_cloudevent_goes_alone_unless_an_array_is_asked_for(form: str) -> None:
    """The other limits of a batch are those of JSON, and may be given by themselves."""
    batch = settings(format=form).batch
    assert (batch.max_events, batch.max_bytes, batch.max_wait) == (1, 2**20, 0.1)
    batch = settings(format=form, batch={"max_bytes": "2MiB"}).batch
    assert (batch.max_events, batch.max_bytes) == (1, 2**21)
    given = settings().batch
    assert settings(format=form, batch=given).alone
    assert not settings(format="cloudevents", batch={"max_events": 20}).alone
    assert not settings(batch={"max_events": 1}).alone


def test_an_address_is_named_without_its_query() -> None:
    """Tokens stand in queries, and errors are logged."""
    assert settings().shown(f"{URL}?token=hunter2#x") == URL


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_line_end_behind_a_secret_is_no_part_of_it(end: str) -> None:
    """Files and orchestrators leave one."""
    assert settings(bearer_token="abc" + end).authorization() == "Bearer abc"
    assert settings(secret="abc" + end, previous_secret="whsec_YWJj" + end).signing_keys() == [
        b"abc",
        b"abc",
    ]
    assert settings(headers={"X-K": "abc" + end}).headers["X-K"].get_secret_value() == "abc"


SECRET_URL = "https://hooks.example:8443/services/T0hunter2/{table}/x?token=hunter2"


@pytest.fixture
def secret_url(tmp_path: Path) -> str:
    path = tmp_path / "url"
    path.write_text(SECRET_URL + "\n")
    return str(path)


def test_an_address_may_be_the_secret(secret_url: str) -> None:
    """Then it is shown nowhere, neither whole nor in parts."""
    given = settings(url=None, url_file=secret_url)

    assert given.url_of("a.b") == SECRET_URL.replace("{table}", "a.b")
    shown = f"{given!r} {given.model_dump_json()} {given.shown(given.url_of('a.b'))}"
    assert "hunter2" not in shown
    assert "hooks.example" not in shown
    clean = Cleaner(given.secrets())
    for part in ("hooks.example:8443", "hooks.example", "T0hunter2", "/services/T0hunter2/"):
        assert part.strip("/") not in clean(f"look at {part} now")


def test_a_secret_address_that_changes_makes_other_settings(secret_url: str) -> None:
    """A reload takes it up."""
    before = settings(url=None, url_file=secret_url)
    Path(secret_url).write_text("https://hooks.example/other")

    assert before != settings(url=None, url_file=secret_url)


@pytest.mark.parametrize(
    "url", ["https://h:hunter2/", "ftp://hunter2", "https://me:hunter2@h/", "https://h/{hunter2}"]
)
def test_a_secret_address_that_cannot_be_used_is_not_quoted(tmp_path: Path, url: str) -> None:
    """Neither what the file holds, nor what stands where its path should."""
    (tmp_path / "url").write_text(url)
    for value in (str(tmp_path / "url"), url):
        with pytest.raises(ValidationError) as caught:
            settings(url=None, url_file=value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "path"),
    [("ki_home.orders", "ki_home/orders"), ("a.b/c?d", "a/b%2Fc%3Fd"), ("x...", "x/%2E%2E")],
)
def test_a_table_names_its_address(table: str, path: str) -> None:
    """Percent-encoded, and never another path."""
    assert settings(url=URL + "/{schema}/{name}?x=1").url_of(table) == f"{URL}/{path}?x=1"


def test_no_refused_value_is_quoted() -> None:
    """The error says what is wrong about a secret without saying it."""
    with pytest.raises(ValidationError, match="the port is no number") as caught:
        settings(url="http://me:hunter2")
    assert "hunter2" not in str(caught.value)
    for name in ("bearer_token", "password", "secret"):
        with pytest.raises(ValidationError) as caught:
            settings(**{name: "whsec_hunter2\nhunter2", "username": "me"})
        assert "hunter2" not in str(caught.value)
