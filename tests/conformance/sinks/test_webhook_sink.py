"""The webhook sink keeps the contract, against a real HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import orjson
import pytest
from services.webhook import Answer, Request, WebhookReceiver

from bridge.events import Event
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import SinkConformance, make_event


class TestWebhook(SinkConformance):
    order = "table"
    largest_value = 4 * 2**20

    @pytest.fixture(autouse=True)
    def destination(self, webhook_receiver: WebhookReceiver) -> Iterator[None]:
        self.receiver = webhook_receiver
        self.receiver.answer = self.answer
        self.url = webhook_receiver.url
        self.others: list[WebhookReceiver] = []
        yield
        for other in self.others:
            other.stop()

    def answer(self, request: Request) -> Answer:
        poison = self.unacceptable().value
        return Answer(422, body=b"no such order") if poison in request.body else Answer()

    path = ""
    settings: ClassVar[dict[str, Any]] = {}

    def make_sink(self) -> WebhookSink:
        given = {"type": "webhook", "url": self.url + self.path, "secret": "a secret"}
        return WebhookSink(WebhookSettings.model_validate(given | self.settings))

    def read_back(self) -> list[bytes]:
        accepted = [self.receiver, *self.others]
        return [orjson.dumps(event) for each in accepted for event in each.accepted]

    def unacceptable(self) -> Event:
        return make_event(5, record={"poison": True})

    def restart(self) -> bool:
        self.receiver.stop()
        again = WebhookReceiver(port=self.receiver.port)
        again.__enter__()
        self.others.append(again)
        return True


class TestWebhookOfEachTable(TestWebhook):
    """An address for each table: one receiver takes them all."""

    path = "/{schema}/{name}"


class TestWebhookOfCloudEvents(TestWebhook):
    """One event a request, compressed; whatever a batch has."""

    settings: ClassVar[dict[str, Any]] = {"format": "cloudevents", "compress": "gzip"}

    def answer(self, request: Request) -> Answer:
        poison = self.unacceptable().value
        return Answer(422, body=b"no such order") if poison in request.content else Answer()
