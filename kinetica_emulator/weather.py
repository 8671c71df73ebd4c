"""A lively table for the demo: a weather report a second from some cities.

Now and then a report is corrected (an update), and the oldest one is cleared (a delete). Those of
the last minute stay, so that a bridge that was away for less can read what it missed. It speaks to
the emulator as any program would, over Kinetica's HTTP API.
"""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any, Self

from bridge.wire.client import Access, Http

TABLE = "demo.weather"

_INTERVAL = 1.0
_KEPT = 120
_CITIES = (
    ("Reykjavik", "IS", 64.15, -21.94, 4.0),
    ("Nairobi", "KE", -1.29, 36.82, 19.0),
    ("Lima", "PE", -12.05, -77.04, 18.0),
    ("Osaka", "JP", 34.69, 135.5, 15.0),
    ("Winnipeg", "CA", 49.9, -97.14, -2.0),
    ("Hobart", "AU", -42.88, 147.33, 13.0),
)
_COLUMNS: dict[str, tuple[str, list[str]]] = {
    "report_id": ("long", ["primary_key"]),
    "city": ("string", ["char32"]),
    "country": ("string", ["char2"]),
    "latitude": ("double", []),
    "longitude": ("double", []),
    "temperature": ("float", ["nullable"]),
    "humidity": ("int", ["int8"]),
    "raining": ("int", ["boolean"]),
    "reported_at": ("long", ["timestamp"]),
}


class WeatherFeed:
    """Makes the table, then inserts, updates and deletes in a thread of its own.

    Args:
        url: of the Kinetica, or emulator, that gets the table.
    """

    def __init__(self, url: str) -> None:
        self._http = Http(url, Access(), timeout=10.0)
        self._random = random.Random()  # noqa: S311 (weather, not cryptography)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="weather", daemon=True)
        self.rows = self.updates = self.deletes = 0

    def __enter__(self) -> Self:
        self._call("/create/schema", schema_name=TABLE.partition(".")[0])
        fields = [
            {"name": name, "type": [base, "null"] if "nullable" in properties else base}
            for name, (base, properties) in _COLUMNS.items()
        ]
        created = self._call(
            "/create/type",
            type_definition=json.dumps({"type": "record", "name": "type_name", "fields": fields}),
            label="weather",
            properties={name: properties for name, (_, properties) in _COLUMNS.items()},
        )
        self._call("/create/table", table_name=TABLE, type_id=created["type_id"])
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._http.close()

    def start(self) -> None:
        """Start feeding."""
        self._thread.start()

    def stop(self) -> None:
        """Stop feeding; may be called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        tick = 0
        while not self._stopping.wait(_INTERVAL if tick else 0.3):
            tick += 1
            self._report(1 + self._random.randrange(3))
            if tick % 4 == 0:
                self._correct()
            if tick % 7 == 0:
                self._clear_old()

    def _report(self, count: int) -> None:
        records = []
        for city, country, latitude, longitude, usual in self._random.sample(_CITIES, count):
            self.rows += 1
            broken = self._random.random() < 0.1  # a thermometer fails now and then
            records.append(
                {
                    "report_id": self.rows,
                    "city": city,
                    "country": country,
                    "latitude": latitude,
                    "longitude": longitude,
                    "temperature": None if broken else round(self._random.gauss(usual, 3), 1),
                    "humidity": self._random.randrange(20, 100),
                    "raining": int(self._random.random() < 0.3),
                    "reported_at": time.time_ns() // 10**6,
                }
            )
        self._call(
            "/insert/records",
            table_name=TABLE,
            list=[],
            list_str=[json.dumps(record) for record in records],
            list_encoding="json",
        )

    def _correct(self) -> None:
        self._call(
            "/update/records",
            table_name=TABLE,
            expressions=["temperature is null"],
            new_values_maps=[{"temperature": "0"}],
            records_to_insert=[],
            records_to_insert_str=[],
            record_encoding="json",
        )
        self.updates += 1

    def _clear_old(self) -> None:
        self.deletes += 1
        last = max(self.deletes, self.rows - _KEPT)
        self._call("/delete/records", table_name=TABLE, expressions=[f"report_id <= {last}"])

    def _call(self, endpoint: str, **body: Any) -> dict[str, Any]:
        return self._http.call(endpoint, body, changes=True)
