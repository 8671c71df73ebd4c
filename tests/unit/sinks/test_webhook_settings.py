"""What a webhook can be configured with, and what is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

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
    ],
)
def test_unusable_settings_are_refused(values: dict[str, Any], reason: str) -> None:
    """Each with what is wrong about it."""
    with pytest.raises(ValidationError, match=reason):
        settings(**values)


def test_an_address_is_named_without_its_query() -> None:
    """Tokens stand in queries, and errors are logged."""
    assert settings().shown(f"{URL}?token=hunter2#x") == URL


def test_a_line_end_behind_a_secret_is_no_part_of_it() -> None:
    """Files and orchestrators leave one."""
    assert settings(bearer_token="abc\r\n").authorization() == "Bearer abc"


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
