"""Table monitors: who watches which table for what. Source: protocol, section 4."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field

from kinetica_emulator.columns import RecordType
from kinetica_emulator.errors import RequestError

EVENTS = ("insert", "update", "delete")

# What update and delete monitors publish: how many rows one operation touched.
COUNT_SCHEMA = json.dumps(
    {"type": "record", "name": "type_name", "fields": [{"name": "count", "type": "long"}]},
    separators=(",", ":"),
)


@dataclass(slots=True)
class Monitor:
    """One table monitor.

    Attributes:
        topic_id: its id, and the topic of its notifications.
        table: qualified name of the table it watches.
        event: insert, update or delete.
        options: what it was created with.
        type_schema: the Avro schema of its records.
        condition: its filter as SQL, empty for none.
        suspended: whether its notifications were switched off.
        creator: who made it.
    """

    topic_id: str
    table: str
    event: str
    options: dict[str, str]
    type_schema: str
    condition: str = ""
    suspended: bool = False
    creator: str = ""
    topic: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.topic = self.topic_id.encode()

    @property
    def asked(self) -> str:
        """The id it was made under, its topic if it was given none."""
        return self.options.get("monitor_id") or self.topic_id

    @property
    def aliases(self) -> tuple[str, str]:
        """The names by which it is found besides its topic."""
        return self.asked, self.topic_id.rpartition(".")[2]


class MonitorSet:
    """All monitors of a cluster, in the order of their creation; under the database's lock."""

    def __init__(self) -> None:
        self._by_id: dict[str, Monitor] = {}
        self._by_table: dict[str, list[Monitor]] = {}
        # Other names of monitors; of two with the same, the older has it.
        self._by_alias: dict[str, Monitor] = {}

    def add(self, monitor: Monitor) -> None:
        """Take a monitor in.

        Raises:
            RequestError: its id is in use.
        """
        if monitor.topic_id in self._by_id:
            raise RequestError(f"Table monitor '{monitor.topic_id}' already exists")
        self._by_id[monitor.topic_id] = monitor
        self._by_table.setdefault(monitor.table, []).append(monitor)
        for alias in monitor.aliases:
            self._by_alias.setdefault(alias, monitor)

    def find(self, name: str) -> Monitor | None:
        """Return the monitor of that topic, of that topic without its schema, or asked for so."""
        return self._by_id.get(name) or self._by_alias.get(name)

    def get(self, name: str) -> Monitor:
        """Return the monitor of that name, in any form that `find` takes.

        Raises:
            RequestError: there is none.
        """
        monitor = self.find(name)
        if monitor is None:
            raise RequestError(f"Table monitor '{name}' does not exist")
        return monitor

    def remove(self, name: str) -> None:
        """Drop one monitor; like `get` if there is none."""
        monitor = self.get(name)
        self._by_table[monitor.table].remove(monitor)
        self._forget(monitor)

    def remove_table(self, table: str) -> None:
        """Drop every monitor of a table, silently, as Kinetica does when it is altered."""
        for monitor in self._by_table.pop(table, ()):
            self._forget(monitor)

    def _forget(self, monitor: Monitor) -> None:
        del self._by_id[monitor.topic_id]
        for alias in monitor.aliases:
            if self._by_alias.get(alias) is monitor:
                del self._by_alias[alias]

    def clear(self) -> None:
        """Drop every monitor."""
        self._by_id.clear()
        self._by_table.clear()
        self._by_alias.clear()

    def all(self) -> list[Monitor]:
        """Return every monitor."""
        return list(self._by_id.values())

    def active(self, table: str, event: str) -> list[Monitor]:
        """Return the monitors that publish an event of a table."""
        return [
            monitor
            for monitor in self._by_table.get(table, ())
            if monitor.event == event and not monitor.suspended
        ]

    def described(self, table: str) -> str:
        """Return what `/show/table` says: JSON of event to topic id, empty if there is none.

        Several monitors of one event are joined by commas, in the order of their creation.
        """
        topics: dict[str, str] = {}
        for monitor in self._by_table.get(table, ()):
            before = topics.get(monitor.event)
            topics[monitor.event] = f"{before},{monitor.topic_id}" if before else monitor.topic_id
        return json.dumps(topics) if topics else ""


def random_topic(schema: str) -> str:
    """Return the topic of a monitor that nobody named."""
    return f"{schema}.{base64.b64encode(uuid.uuid4().bytes).decode()}"


def schema_of(event: str, kind: RecordType) -> str:
    """Return the Avro schema of a monitor's records."""
    return kind.type_schema if event == "insert" else COUNT_SCHEMA
