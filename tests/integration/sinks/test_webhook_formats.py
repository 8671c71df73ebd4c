"""What a webhook's requests carry, read and verified by the libraries that receivers use."""

from __future__ import annotations

import base64
import gzip
import hmac
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from services.delivery import SCHEMA, TABLE, TIME, Engine, output
from services.process import wait_until
from services.webhook import Answer, Request, WebhookReceiver
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.events import Alter, Count, Drop, Gap
from bridge.formats.making import make_format
from bridge.sinks.webhook import WebhookSettings, WebhookSink

NEW, OLD, OTHER = (f"whsec_{letter * 40}" for letter in "NOX")
CLUSTER = "http://k:9191"
SINGLES = [
    Count(TABLE, CLUSTER, TIME, "update", 3),
    Alter(TABLE, CLUSTER, TIME, SCHEMA, SCHEMA),
    Gap(TABLE, CLUSTER, TIME, "g", TIME, TIME, "start"),
    Drop(TABLE, CLUSTER, TIME),
]
TYPES = ["insert", "insert", "insert", "update", "alter", "gap", "drop"]
FORMS: dict[str, dict[str, Any]] = {
    "json": {},
    "json of one": {"batch": {"max_events": 1}},
    "cloudevents": {"format": "cloudevents"},
    "cloudevents batch": {"format": "cloudevents", "batch": {"max_events": 500}},
    "cloudevents-binary": {"format": "cloudevents-binary"},
}
Send = Callable[..., Sequence[Request]]


@pytest.fixture
def send(tmp_path: Path, webhook_receiver: WebhookReceiver) -> Send:
    """Deliver three rows and one event of each other type, and return the requests."""

    def send(**values: Any) -> Sequence[Request]:
        given = {"type": "webhook", "url": webhook_receiver.url} | values
        settings = WebhookSettings.model_validate(given)
        sink = WebhookSink(settings)
        form = make_format(settings, "eu-1", sink.place_of)
        with Engine(tmp_path / "j") as engine:
            engine.insert(0, 1, 2)
            engine.journal.append(SINGLES)
            engine.worker.configure(sink, settings, engine.tables, output(keyed=False, form=form))
            engine.worker.start()
            engine.wait_settled()
            assert engine.account().received == len(TYPES)
        return webhook_receiver.requests

    return send


def posted(request: Request) -> HTTPMessage:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return HTTPMessage(headers, request.content)


def types(events: Sequence[BaseCloudEvent]) -> list[str]:
    return [str(event.get_type()).removeprefix("com.kinetica.bridge.") for event in events]


def test_json_is_an_array(send: Send) -> None:
    """Of whatever is there, also of what is no row."""
    (request,) = send()

    assert request.headers["Content-Type"] == "application/json"
    assert [event["type"] for event in json.loads(request.body)] == TYPES


def test_cloudevents_go_one_by_one(send: Send) -> None:
    """Each request is one event, which the SDK reads."""
    requests = send(format="cloudevents")

    events = [from_http_event(posted(request)) for request in requests]
    assert types(events) == TYPES
    assert {r.headers["Content-Type"] for r in requests} == {
        "application/cloudevents+json; charset=UTF-8"
    }
    assert events[1].get_data() == {"n": 1, "k": 1}
    assert events[1].get_subject() == '{"k":1}'


def test_cloudevents_go_in_arrays_to_who_asks_for_them(send: Send) -> None:
    """With the media type of a batch, and each event as it would be alone."""
    (request,) = send(format="cloudevents", batch={"max_events": 500})

    assert request.headers["Content-Type"] == "application/cloudevents-batch+json"
    events = [JSONFormat().read(None, json.dumps(event)) for event in json.loads(request.body)]
    assert types(events) == TYPES


def test_an_array_of_cloudevents_is_one_even_of_one(
    send: Send, webhook_receiver: WebhookReceiver
) -> None:
    """The receiver that refuses one event gets it as it gets the others."""
    webhook_receiver.answer = lambda r: Answer(400 if b'"n":1,' in r.body else 200)

    send(format="cloudevents", batch={"max_events": 500})

    alone = [r for r in webhook_receiver.requests if len(json.loads(r.body)) == 1]
    assert alone
    assert {r.headers["Content-Type"] for r in webhook_receiver.requests} == {
        "application/cloudevents-batch+json"
    }


def test_binary_cloudevents_have_their_attributes_in_headers(send: Send) -> None:
    """The body is the data alone; what HTTP does not allow in a header is percent-encoded."""
    requests = send(format="cloudevents-binary")

    assert types([from_http_event(posted(request)) for request in requests]) == TYPES
    row, drop = requests[1], requests[-1]
    assert row.body == b'{"n":1,"k":1}'
    assert row.headers["Content-Type"] == "application/json"
    assert row.headers["ce-subject"] == "{%22k%22:1}"
    assert row.headers["ce-source"] == f"/kinetica/eu-1/{TABLE}"
    assert "ce-datacontenttype" not in row.headers
    assert drop.body == b""


@pytest.mark.parametrize("compress", [None, "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_signed_requests_are_verified_by_the_library(
    send: Send, form: str, compress: str | None
) -> None:
    """Over the text that a framework unpacks and, by hand, over the bytes as they were sent."""
    requests = send(secret=NEW, compress=compress, **FORMS[form])

    for request in requests:
        headers = dict(request.headers.items())
        Webhook(NEW).verify(request.content, headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(OTHER).verify(request.content, headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(request.content + b" ", headers, json_parse=False)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
        digest = hmac.digest(base64.b64decode(NEW.removeprefix("whsec_")), signed, "sha256")
        assert f"v1,{base64.b64encode(digest).decode()}" in headers["webhook-signature"].split()
    assert len({request.headers["webhook-id"] for request in requests}) == len(requests)


def test_during_a_rotation_either_secret_verifies(send: Send) -> None:
    """A receiver may change over whenever it likes."""
    requests = send(secret=NEW, previous_secret=OLD)

    for request in requests:
        headers = dict(request.headers.items())
        assert Webhook(OLD).verify(request.body, headers)
        assert Webhook(NEW).verify(request.body, headers)


def test_a_compressed_body_is_smaller_and_says_what_it_is(send: Send) -> None:
    """The media type is that of what comes out of it."""
    (request,) = send(compress="gzip")

    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["Content-Type"] == "application/json"
    assert len(request.body) < len(request.content) / 2
    assert [event["type"] for event in json.loads(gzip.decompress(request.body))] == TYPES


def test_a_compressed_batch_is_frozen_across_its_retries(
    send: Send, webhook_receiver: WebhookReceiver
) -> None:
    """The same identity, the same bytes, a signature of its own each time."""
    webhook_receiver.answer_with(Answer(503), Answer(503))

    requests = send(compress="gzip", secret=NEW, retry={"initial_backoff": "1ms"})

    assert len(requests) == 3
    assert len({(r.headers["webhook-id"], r.body) for r in requests}) == 1


def test_who_does_not_understand_gzip_is_told_which_setting_it_is(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """415 to everything: nothing is set aside, and the error asks the right question."""
    webhook_receiver.answer = lambda _: Answer(415)
    settings = WebhookSettings.model_validate(
        {"type": "webhook", "url": webhook_receiver.url, "compress": "gzip"}
    )
    with Engine(tmp_path / "j") as engine:
        engine.insert(0, 1, 2)
        engine.worker.configure(WebhookSink(settings), settings, engine.tables, engine.output)
        engine.worker.start()
        waiting = wait_until(lambda: engine.worker.stats().waiting, "it waits")
        assert "415 (does it understand compress: gzip?)" in waiting[TABLE]
        webhook_receiver.answer = lambda _: Answer()
        engine.wait_settled()
