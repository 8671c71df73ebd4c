"""The CloudEvents SDK reads every event of ours, over HTTP and Kafka, in each mode."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.v1.http import CloudEvent, from_http
from cloudevents.v1.kafka import KafkaMessage, from_binary
from services.formats import CLUSTER, ID, SINGLES, TABLE, TIME, block, write

from bridge.events import ReadCause
from bridge.formats.base import Format
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.singles import members_of
from bridge.lines import Lines

CAUSES: tuple[ReadCause | None, ...] = (None, "gap", "snapshot", "update")


def every(form: Format) -> dict[str, tuple[Lines, str, Any]]:
    """The lines of one event of each kind, its type, and the data that must be read."""
    found: dict[str, tuple[Lines, str, Any]] = {}
    for cause in CAUSES:
        type_ = "insert" if cause is None else "read"
        found[f"{type_} {cause}"] = write(form, block(cause)), type_, {"order_id": 1, "note": None}
    for type_, entry in SINGLES.items():
        data = members_of(entry)[1] or None
        found[type_] = form.single(ID, 1234, entry), type_, data
    return found


STRUCTURED, BINARY = every(CloudEvents("eu-1")), every(CloudEventsBinary("eu-1"))


def attributes_of(lines: Lines) -> dict[str, str]:
    assert lines.attributes is not None
    return dict(lines.attributes.of(lines, 0, 1)[0])


def http_headers(lines: Lines) -> dict[str, str]:
    """As the HTTP binding has it: a prefix, and percent-encoding."""
    named = {
        f"ce-{k}": quote(v, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
        for k, v in attributes_of(lines).items()
    }
    return {**named, "content-type": lines.content_type}


def kafka_headers(lines: Lines) -> dict[str, bytes]:
    """As the Kafka binding has it: a prefix, UTF-8."""
    named = {f"ce_{k}": v.encode() for k, v in attributes_of(lines).items()}
    return {**named, "content-type": lines.content_type.encode()}


def is_ours(event: BaseCloudEvent, kind: str, type_: str, data: Any) -> None:
    """See that an event is the one of this kind, to the last attribute."""
    subject = '{"order_id":1}' if type_ in {"insert", "read"} else '{"table":"ki_home.orders"}'
    assert event.get_id() == f"{ID}-1234"
    assert event.get_source() == "/kinetica/eu-1/ki_home.orders"
    assert event.get_type() == f"com.kinetica.bridge.{type_}"
    assert event.get_subject() == subject
    assert event.get_datacontenttype() == "application/json"
    assert event.get_time() == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=TIME)
    assert event.get_extension("kineticaoffset") == f"{1234:020d}"
    assert event.get_extension("kineticatable") == TABLE
    assert event.get_extension("kineticacluster") == CLUSTER
    cause = kind.partition(" ")[2]
    assert event.get_extension("kineticacause") == (cause if type_ == "read" else None)
    assert event.get_data() == data


@pytest.mark.parametrize("kind", STRUCTURED)
def test_structured_events_are_read(kind: str) -> None:
    """Over HTTP and Kafka, told by their content type alone."""
    lines, type_, data = STRUCTURED[kind]
    value, key = lines.event(0).value, lines.event(0).key
    posted = http.HTTPMessage({"content-type": lines.content_type}, value)
    is_ours(http.from_http_event(posted), kind, type_, data)
    produced = kafka.KafkaMessage({"content-type": lines.content_type.encode()}, key, value)
    is_ours(kafka.from_kafka_event(produced), kind, type_, data)


@pytest.mark.parametrize("kind", BINARY)
def test_binary_events_are_read(kind: str) -> None:
    """Over HTTP and Kafka, their attributes in headers."""
    lines, type_, data = BINARY[kind]
    value, key = lines.event(0).value, lines.event(0).key
    is_ours(http.from_http_event(http.HTTPMessage(http_headers(lines), value)), kind, type_, data)
    produced = kafka.KafkaMessage(kafka_headers(lines), key, value)
    is_ours(kafka.from_kafka_event(produced), kind, type_, data)


def test_a_batch_is_a_list_of_events() -> None:
    """Each read as if it had come alone."""
    body = b"[%b]" % b",".join(lines.event(0).value for lines, _, _ in STRUCTURED.values())
    for (kind, (_, type_, data)), each in zip(STRUCTURED.items(), json.loads(body), strict=True):
        is_ours(JSONFormat().read(None, json.dumps(each)), kind, type_, data)


@pytest.mark.parametrize("kind", STRUCTURED)
def test_the_sdk_of_before_reads_them_as_well(kind: str) -> None:
    """Its functions are still the most used; a drop over Kafka, which has no data, it cannot."""
    lines, type_, data = STRUCTURED[kind]
    structured = from_http({"content-type": lines.content_type}, lines.event(0).value)
    lines, _, _ = BINARY[kind]
    binary = from_http(http_headers(lines), lines.event(0).value)
    for event in (structured, binary):
        assert isinstance(event, CloudEvent)
        assert (event["id"], event["type"]) == (f"{ID}-1234", f"com.kinetica.bridge.{type_}")
        assert event.data == data
    if type_ != "drop":
        message = KafkaMessage(kafka_headers(lines), lines.event(0).key, lines.event(0).value)
        assert from_binary(message).data == data
