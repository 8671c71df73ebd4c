"""Secrets of a sink are never printed, and those with free names can be files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.sinks.kafka import KafkaSettings
from bridge.sinks.webhook import WebhookSettings


def webhook(**values: Any) -> WebhookSettings:
    return WebhookSettings(type="webhook", url="https://example.com/hook", **values)


def kafka(**options: Any) -> KafkaSettings:
    return KafkaSettings(type="kafka", bootstrap_servers="k:9092", options=options)


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    """Neither in a repr, nor in a dump, nor in the error about a neighbour."""
    secrets = dict.fromkeys(("secret", "previous_secret", "password"), "hunter2")
    settings: list[Any] = [
        webhook(**secrets, username="me", headers={"X-Key": "hunter2"}),
        webhook(bearer_token="hunter2"),
        kafka(**{"sasl.password": "hunter2"}),
    ]

    for each in settings:
        assert "hunter2" not in repr(each)
        assert "hunter2" not in each.model_dump_json()
    with pytest.raises(ValidationError) as caught:
        kafka(**{"sasl.password": "hunter2", "linger.ms": "soon"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        webhook(previous_secret="hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_file_holds_the_secret_without_its_line_end(tmp_path: Path) -> None:
    """An editor's newline is no part of it; settings are equal exactly if the secrets are."""
    path = tmp_path / "secret"
    path.write_text("hunter 2 \n")

    options, headers = (
        kafka(**{"sasl.password_file": str(path)}),
        webhook(headers={"X-K_file": path}),
    )

    assert options.configuration()["sasl.password"] == "hunter 2 "
    assert headers.headers["X-K"].get_secret_value() == "hunter 2 "
    path.write_text("rotated")
    assert kafka(**{"sasl.password_file": str(path)}) != options


def test_both_forms_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them holds could only be guessed."""
    path = tmp_path / "secret"
    path.write_text("x")

    with pytest.raises(ValidationError, match=r"both sasl\.password and sasl\.password_file"):
        kafka(**{"sasl.password": "x", "sasl.password_file": str(path)})


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"x" * 100_000])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty, binary or huge file is named."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValidationError, match=f"X-K_file: .*{path}"):
        webhook(headers={"X-K_file": str(path)})


def test_a_value_that_is_no_path_is_refused() -> None:
    """A number, say."""
    with pytest.raises(ValidationError, match="path of a file"):
        kafka(**{"sasl.password_file": 3})
