"""A bare client of the emulator's HTTP API, and a subscriber of its monitors."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import fastavro
import pytest
import requests
import zmq

from kinetica_emulator import Emulator
from kinetica_emulator.endpoints import ENDPOINTS, ENVELOPE

BINARY = "application/octet-stream"
JSON = "application/json"
PATIENCE_MS = 10_000


class Refused(Exception):
    """The cluster answered with an ERROR reply; its text is the message."""


class Client:
    """Calls endpoints in JSON or in Avro, and raises what comes back as an error."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def __call__(self, path: str, *, binary: bool = False, **fields: Any) -> dict[str, Any]:
        reply = self.post(path, binary=binary, **fields)
        envelope = self.envelope(reply, binary=binary)
        if envelope["status"] != "OK":
            assert reply.status_code == 400
            raise Refused(envelope["message"])
        if binary:
            stream = io.BytesIO(envelope["data"])
            return dict(fastavro.schemaless_reader(stream, ENDPOINTS[path].reply, None))
        return json.loads(envelope["data_str"])

    def post(
        self, path: str, *, binary: bool = False, headers: Mapping[str, str] = {}, **fields: Any
    ) -> requests.Response:
        endpoint = ENDPOINTS[path]
        request = {**endpoint.request_defaults, **fields}
        kind = BINARY if binary else JSON
        body: bytes
        if binary:
            stream = io.BytesIO()
            fastavro.schemaless_writer(stream, endpoint.request, request)
            body = stream.getvalue()
        else:
            body = json.dumps(request, default=lambda value: value.decode("latin-1")).encode()
        return self.session.post(
            self.url + path,
            data=body,
            headers={"Content-type": kind, "Accept": kind, **headers},
            timeout=10,
        )

    @staticmethod
    def envelope(reply: requests.Response, *, binary: bool) -> dict[str, Any]:
        if binary:
            return dict(fastavro.schemaless_reader(io.BytesIO(reply.content), ENVELOPE, None))
        return reply.json()

    def create_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[str]],
    ) -> str:
        """Make a table of name -> [base type, property...]; return its type id."""
        fields = [
            {"name": column, "type": [base, "null"] if "nullable" in marks else base}
            for column, (base, *marks) in columns.items()
        ]
        definition = {"type": "record", "name": "type_name", "fields": fields}
        made = self(
            "/create/type",
            type_definition=json.dumps(definition),
            properties={column: marks for column, (_, *marks) in columns.items() if marks},
        )
        self("/create/table", table_name=name, type_id=made["type_id"])
        return str(made["type_id"])

    def insert(self, table: str, *rows: Mapping[str, Any], **options: str) -> dict[str, Any]:
        return self(
            "/insert/records",
            table_name=table,
            list_str=[json.dumps(row) for row in rows],
            list_encoding="json",
            options=options,
        )

    def rows(self, table: str, **options: str) -> list[dict[str, Any]]:
        reply = self(
            "/get/records",
            table_name=table,
            offset=0,
            limit=-9999,
            encoding="json",
            options=options,
        )
        return [json.loads(text) for text in reply["records_json"]]

    def sql(self, statement: str, **options: str) -> dict[str, Any]:
        return self(
            "/execute/sql",
            statement=statement,
            offset=0,
            limit=-9999,
            encoding="json",
            options=options,
        )

    def select(self, statement: str, **options: str) -> list[tuple[Any, ...]]:
        columns = json.loads(self.sql(statement, **options)["json_encoded_response"])
        count = len(columns["column_headers"])
        return list(zip(*(columns[f"column_{n}"] for n in range(1, count + 1)), strict=True))

    def monitor(self, table: str, event: str = "insert", **options: str) -> str:
        reply = self("/create/tablemonitor", table_name=table, options={"event": event, **options})
        return str(reply["topic_id"])

    def monitors(self) -> dict[str, Any]:
        return self("/show/tablemonitors", monitor_ids=[])


class Subscriber:
    """A SUB socket whose subscriptions are live when they were made."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        host = urlsplit(emulator.url).hostname
        self._socket.connect(f"tcp://{host}:{emulator.monitor_port}")

    def subscribe(self, *topics: str) -> None:
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
            assert self._emulator.wait_for_subscriber(topic)

    def lose(self) -> None:
        """Wait until the cluster has seen the connection go."""
        while self._emulator.subscriptions():
            self._socket.poll(20)

    def subscribe_again(self, topic: str) -> None:
        """Wait until a lost connection is back: libzmq subscribes anew only when touched."""
        while not self._emulator.wait_for_subscriber(topic, 0.02):
            self._socket.poll(0)

    def receive(self) -> tuple[str, list[bytes]]:
        assert self._socket.poll(PATIENCE_MS), "no notification came"
        topic, *frames = self._socket.recv_multipart()
        return topic.decode(), frames

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Callable[[Emulator], Client]]:
    clients: list[Client] = []

    def make(emulator: Emulator) -> Client:
        clients.append(Client(emulator.url))
        return clients[-1]

    yield make
    for client in clients:
        client.session.close()


@pytest.fixture
def client(emulator: Emulator, connect: Callable[[Emulator], Client]) -> Client:
    return connect(emulator)


@pytest.fixture
def listen() -> Iterator[Callable[[Emulator], Subscriber]]:
    subscribers: list[Subscriber] = []

    def make(emulator: Emulator) -> Subscriber:
        subscribers.append(Subscriber(emulator))
        return subscribers[-1]

    yield make
    for subscriber in subscribers:
        subscriber.close()


@pytest.fixture
def subscriber(emulator: Emulator, listen: Callable[[Emulator], Subscriber]) -> Subscriber:
    return listen(emulator)


@pytest.fixture
def refused() -> type[Refused]:
    return Refused
