"""A program that makes and fills tables over Kinetica's HTTP API, in JSON."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

PLAIN = {"id": ["long"], "note": ["string"]}
KEYED = {"id": ["long", "primary_key"], "note": ["string"]}
NARROW = {"n": ["int", "int8"]}


class Program:
    """Whoever writes into the tables that are watched."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, endpoint: str, **body: Any) -> dict[str, Any]:
        """Call an endpoint and return its reply.

        Raises:
            AssertionError: the call was refused.
        """
        request = urllib.request.Request(
            self.url + endpoint, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                envelope = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{endpoint}: {error.code} {error.read()[:500]!r}") from None
        assert envelope["status"] == "OK", f"{endpoint}: {envelope['message']}"
        return dict(json.loads(envelope["data_str"]))

    def create(self, *tables: str, columns: dict[str, list[str]] = PLAIN) -> None:
        """Make tables; a column is its Avro type and its properties."""
        fields = [{"name": name, "type": spec[0]} for name, spec in columns.items()]
        type_id = self.call(
            "/create/type",
            type_definition=json.dumps({"type": "record", "name": "type_name", "fields": fields}),
            label="",
            properties={name: spec[1:] for name, spec in columns.items()},
        )["type_id"]
        for table in tables:
            self.call("/create/table", table_name=table, type_id=type_id)

    def ask(self, fault: str, **arguments: Any) -> Any:
        """Ask a fault of an emulator, in whichever process it runs.

        Args:
            fault: the name of a method of `Emulator`, like `heal`; or `traits`, to change some.
            arguments: of that method; lists for what it takes several of.

        Returns:
            What the method returned; all traits after `traits`.

        Raises:
            AssertionError: there is no such fault, or it was refused.
        """
        request = urllib.request.Request(
            f"{self.url}/emulator/{fault}", json.dumps(arguments).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{fault}: {error.code} {error.read()[:500]!r}") from None
        return answer if fault == "traits" else answer["result"]

    def access(self, table: str) -> dict[str, str]:
        """Return what the cluster tells of a table: when it was made, how often written."""
        shown = self.call("/show/table", table_name=table, options={"get_access_data": "true"})
        return dict(shown["additional_info"][0])

    def delete(self, table: str, expression: str) -> int:
        """Delete rows in one call and return how many they were."""
        reply = self.call("/delete/records", table_name=table, expressions=[expression])
        return int(reply["count_deleted"])

    def insert(self, table: str, ids: Iterable[int], note: str = "") -> None:
        """Insert rows with these ids in one call."""
        texts = [json.dumps({"id": n, "note": note or f"row {n}"}) for n in ids]
        self.call(
            "/insert/records", table_name=table, list=[], list_str=texts, list_encoding="json"
        )

    def insert_random(self, table: str, count: int) -> None:
        """Insert rows of random values in one call."""
        self.call("/insert/records/random", table_name=table, count=count, options={})
