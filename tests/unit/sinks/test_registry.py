"""Sinks are found by entry point, and a broken plug-in harms only who asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.errors import BridgeError
from bridge.sinks.file import FileSink
from bridge.sinks.kafka import KafkaSink
from bridge.sinks.postgres import PostgresSink
from bridge.sinks.redis import RedisSink
from bridge.sinks.registry import SinkNotFound, available, find
from bridge.sinks.stdout import StdoutSink
from bridge.sinks.webhook import WebhookSink

Publish = Callable[..., None]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publish]:
    """Install a distribution with one module and one sink."""
    modules = set(sys.modules)

    def install(distribution: str, name: str, value: str, source: str = "") -> None:
        info = tmp_path / distribution / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[kinetica_bridge.sinks]\n{name} = {value}\n")
        (tmp_path / distribution / f"{value.partition(':')[0]}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path / distribution)

    yield install
    for name in set(sys.modules) - modules:
        if name.endswith(("_sink", "_sink_module")):
            del sys.modules[name]


def test_our_own_sinks_are_published() -> None:
    """The four that ship with the bridge are found under their names."""
    ours = {
        "file": FileSink,
        "kafka": KafkaSink,
        "postgres": PostgresSink,
        "redis": RedisSink,
        "stdout": StdoutSink,
        "webhook": WebhookSink,
    }

    assert ours.items() <= available().items()
    assert {name: find(name) for name in ours} == ours


def test_an_unknown_type_names_the_nearest() -> None:
    """A slip is answered with what was meant, and with all there is."""
    with pytest.raises(SinkNotFound, match=r"no sink type 'kafak': did you mean 'kafka'\?"):
        find("kafak")
    with pytest.raises(
        SinkNotFound, match="known are file, kafka, postgres, redis, stdout, webhook"
    ):
        find("q")


def test_not_found_is_a_bridge_error_and_a_value_error() -> None:
    """A validator of the configuration may let it pass."""
    assert issubclass(SinkNotFound, BridgeError)
    assert issubclass(SinkNotFound, ValueError)


def test_a_sink_of_another_distribution_is_found(publish: Publish) -> None:
    """Publishing an entry point is all that a plug-in does."""
    publish("acme-sink", "acme", "acme_sink:AcmeSink", _PLUG_IN)

    assert find("acme").__name__ == "AcmeSink"
    assert "acme" in available()


def test_a_plug_in_that_cannot_be_imported_is_reported_to_its_users_alone(publish: Publish) -> None:
    """Its cause is in the error; the others are there as before."""
    publish("broken-sink", "broken", "broken_sink:Sink", "raise RuntimeError('no libfoo.so.3')")

    with pytest.raises(SinkNotFound, match=r"broken-sink.*RuntimeError: no libfoo\.so\.3"):
        find("broken")
    assert "broken" not in available()
    assert find("file") is FileSink


@pytest.mark.parametrize(
    ("source", "reason"),
    [("AcmeSink = 3", "no subclass"), ("", "cannot be imported: AttributeError")],
)
def test_what_is_no_sink_is_refused(publish: Publish, source: str, reason: str) -> None:
    """An entry point may name anything."""
    publish("odd-sink", "odd", "odd_sink_module:AcmeSink", source)

    with pytest.raises(SinkNotFound, match=reason):
        find("odd")


def test_an_unfinished_sink_is_refused(publish: Publish) -> None:
    """Without `deliver` or `Settings` it would fail at its first event."""
    source = "from bridge.sinks import Sink\nclass S(Sink):\n    def __init__(self, settings): ..."
    publish("half-sink", "half", "half_sink:S", source)

    with pytest.raises(SinkNotFound, match="lacks"):
        find("half")


def test_a_type_published_twice_is_refused(publish: Publish) -> None:
    """Which of the two is meant nobody can know; both are named."""
    publish("first-sink", "twice", "first_sink:AcmeSink", _PLUG_IN)
    publish("second-sink", "twice", "second_sink:AcmeSink", _PLUG_IN)

    with pytest.raises(SinkNotFound, match="by first-sink, second-sink"):
        find("twice")


_PLUG_IN = """
from typing import Literal
from bridge.sinks import Sink, SinkSettings
class Settings(SinkSettings):
    type: Literal["acme"]
class AcmeSink(Sink):
    Settings = Settings
    def __init__(self, settings): ...
    def deliver(self, batch): ...
"""
