"""A sample is what the service would write, for each sink and table."""

from __future__ import annotations

import json
from typing import Any

from bridge.cli.samples import samples
from bridge.config import parse
from bridge.events import Column, Schema

LAYOUTS = {
    "s.t": Schema("7", (Column("id", "long", "long"), Column("c", "string", "string")), ("id",)),
    "s.u": Schema("8", (Column("id", "long", "long"),)),
}


def made(**sinks: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Return the lines of each sample, by sink and table."""
    config = {
        "kinetica": {"urls": ["http://a:9191"]},
        "tables": [{"name": "s.t"}, {"name": "s.*"}],
        "sinks": sinks,
    }
    found = list(samples(parse(json.dumps(config)), LAYOUTS))
    assert [sample for sample in found if sample.problem] == []
    return {(sample.sink, sample.table): sample.text.splitlines() for sample in found}


def kafka(**more: Any) -> dict[str, Any]:
    return {"type": "kafka", "bootstrap_servers": "k:9092", "topic": "k.{table}", **more}


def test_a_sample_says_where_it_goes_and_what_stands_beside_it() -> None:
    """Key and attributes in Kafka; of a table without a key, none."""
    found = made(out=kafka(format="cloudevents-binary"))
    head, key, *attributes, value = found["out", "s.t"]
    assert head == "out (kafka, cloudevents-binary): s.t to k.s.t"
    assert key == 'key: {"id":1234}'
    assert "type: com.kinetica.bridge.insert" in attributes
    assert 'subject: {"id":1234}' in attributes
    assert json.loads(value) == {"id": 1234, "c": "text"}
    assert found["out", "s.u"][1] == "key: none"


def test_bytes_are_shown_in_hexadecimal() -> None:
    """Raw, say."""
    assert made(out=kafka(format="raw"))["out", "s.t"][-1] == "a4 13 08 74 65 78 74"


def test_a_sink_that_takes_only_some_events_shows_one_of_those() -> None:
    """Of rows a read, where no insert goes there."""
    calls = {"format": "cloudevents", "type": "stdout"}
    found = made(
        gaps={**calls, "events": ["gap", "drop"]},
        counts={**calls, "events": ["delete"]},
        reads={**calls, "events": ["gap", "read"]},
    )
    events = {sink: json.loads(found[sink, "s.t"][-1]) for sink in ("gaps", "counts", "reads")}
    assert events["gaps"]["data"]["reason"] == "disconnected"
    assert events["counts"]["data"] == {"count": 1}
    assert events["reads"]["kineticacause"] == "snapshot"


def test_what_cannot_be_written_is_a_problem_of_that_sink_and_table() -> None:
    """The others have their samples."""
    config = {
        "kinetica": {"urls": ["http://a:9191"]},
        "tables": [{"name": "s.*"}],
        "sinks": {
            "well": {"type": "stdout"},
            "ill": {"type": "stdout", "format": "cloudevents", "exclude": ["id"]},
        },
    }
    found = {(s.sink, s.table): s for s in samples(parse(json.dumps(config)), LAYOUTS)}
    assert found["well", "s.t"].problem is None
    assert "which shaping leaves out" in str(found["ill", "s.t"].problem)
