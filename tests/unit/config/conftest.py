"""Fixtures: a configuration that is right, and a sink that somebody else publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from bridge.config import Config, parse
from bridge.errors import ConfigurationError

RIGHT = """\
kinetica:
  urls: [http://kinetica-a:9191]
tables:
  - name: ki_home.orders
sinks:
  audit: {type: stdout}
"""

ACME = '''\
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from bridge.sinks import Batch, Batching, Sink, SinkSettings


def even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def explode(value: str) -> str:
    if value == "explode":
        raise RuntimeError(f"{value} came")
    return value


def refuse(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 8:
        raise ValueError(f"{value.get_secret_value()} is too short")
    return value


class Login(BaseModel):
    user: str
    password: SecretStr


class Settings(SinkSettings):
    type: Literal["acme"]
    api_key: Annotated[SecretStr, AfterValidator(refuse)]
    login: Login | None = None
    logins: list[Login] = []
    options: dict[str, str | int | bool] = {}
    pairs: Annotated[int, AfterValidator(even)] = 0
    word: Annotated[str, AfterValidator(explode)] = ""
    batch: Batching = Batching(max_events=50)


class AcmeSink(Sink):
    """Delivers to Acme."""

    Settings = Settings

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings

    def deliver(self, batch: Batch) -> None:
        pass
'''


@pytest.fixture
def read() -> Callable[..., Config]:
    """Read YAML, given indented as tests are, with an environment of keyword arguments."""

    def _read(text: str, **environment: str) -> Config:
        return parse(dedent(text), "bridge.yaml", environment)

    return _read


@pytest.fixture
def refused() -> Callable[..., list[str]]:
    """Read YAML that is wrong and return what is said of it."""

    def _refused(text: str | bytes, **environment: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            parse(dedent(text) if isinstance(text, str) else text, "bridge.yaml", environment)
        return caught.value.problems

    return _refused


@pytest.fixture
def right() -> str:
    """The smallest configuration with a sink."""
    return RIGHT


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish the sink `acme` as another distribution would."""
    site = tmp_path / "site"
    information = site / "acme_sink-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sink\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[kinetica_bridge.sinks]\nacme = acme_sink:AcmeSink\n"
    )
    (site / "acme_sink.py").write_text(ACME)
    monkeypatch.syspath_prepend(str(site))
