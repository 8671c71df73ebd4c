"""A table for the two examples to watch: weather reports, by plain SQL over Kinetica's HTTP API.

Stands for whatever changes your table. Nothing in it concerns monitoring.
"""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import urlsplit

import requests

CITIES = (("Reykjavik", 4.0), ("Nairobi", 19.0), ("Lima", 18.0), ("Osaka", 15.0), ("Hobart", 13.0))


class WeatherTable:
    """The table, made anew.

    Args:
        url: `http[s]://[user:password@]host[:port]`.
        name: the table's name with its schema.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url.rstrip("/")
        self._name = name
        self._reports = 0
        schema = name.rpartition(".")[0]
        if schema:
            self._run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._run(f"DROP TABLE IF EXISTS {name}")
        self._run(
            f"CREATE TABLE {name} (report_id LONG NOT NULL, city VARCHAR(16) NOT NULL, "
            "temperature DOUBLE, PRIMARY KEY (report_id))"
        )

    def report(self, count: int) -> None:
        """Insert some reports, in one operation."""
        rows = []
        for _ in range(count):
            self._reports += 1
            city, usual = random.choice(CITIES)  # noqa: S311 (weather, not cryptography)
            temperature = round(random.gauss(usual, 4), 1)
            rows.append(f"({self._reports}, '{city}', {temperature})")
        self._run(f"INSERT INTO {self._name} VALUES {', '.join(rows)}")  # noqa: S608 (our own)

    def correct(self, first: int, last: int) -> None:
        """Update the reports with these numbers."""
        which = f"report_id BETWEEN {first} AND {last}"
        self._run(f"UPDATE {self._name} SET temperature = temperature + 1 WHERE {which}")  # noqa: S608 (our own)

    def forget(self, last: int) -> None:
        """Delete the reports up to this number."""
        self._run(f"DELETE FROM {self._name} WHERE report_id <= {last}")  # noqa: S608 (our own)

    def drop(self) -> None:
        """Drop the table."""
        self._run(f"DROP TABLE {self._name}")

    def _run(self, statement: str) -> None:
        request: dict[str, Any] = {
            "statement": statement,
            "offset": 0,
            "limit": 1,
            "encoding": "json",
            "request_schema_str": "",
            "data": [],
            "options": {},
        }
        if not urlsplit(self._url).hostname:
            raise SystemExit(f"{self._url} is not http[s]://host[:port]")
        reply = requests.post(
            f"{self._url}/execute/sql",
            data=json.dumps(request),
            headers={"Content-type": "application/json", "Accept": "application/json"},
            timeout=30,
        )
        answer = reply.json()
        if answer["status"] != "OK":
            raise SystemExit(f"{statement}: {answer['message']}")
