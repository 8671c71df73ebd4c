"""What `check` tries as the user it is: to read a table's rows, and to make monitors of it.

Nothing is read and nothing stays: the read asks for no row, the monitor is cleared at once.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Iterator

from bridge.cli.check_finding import Finding, odd, said, wrong
from bridge.config import Config, Table
from bridge.errors import BridgeError, RequestRefused
from bridge.events import Schema
from bridge.monitor.naming import prefix
from bridge.wire.calls import Cluster, Query


class Rights:
    """Tries what the service will do with tables of one cluster.

    Args:
        cluster: which.
        config: says who we are there.
    """

    def __init__(self, cluster: Cluster, config: Config) -> None:
        self._cluster = cluster
        self._config = config
        self._schemas: set[str] = set()  # where monitors were tried

    def findings(self, entry: Table, name: str, schema: Schema) -> Iterator[Finding]:
        """Try what an entry wants of one of its tables; yield what is not well.

        Args:
            entry: of the configuration.
            name: the table's qualified name.
            schema: its layout.
        """
        what = f"rights on table {name}"
        try:
            if _is_read(entry, schema):
                yield from self._read(what, name)
            if entry.filter:
                yield from self._filter(entry.filter, what, name)
            elif name.partition(".")[0] not in self._schemas:
                yield from self._monitor(what, name, "delete")
        except BridgeError as error:
            yield wrong(what, said(error), error.hint or "")

    def _read(self, what: str, name: str) -> Iterator[Finding]:
        try:
            self._cluster.read_rows(Query(name, "1 = 0"), 0, 1)
        except RequestRefused as error:
            user = self._config.kinetica.username or "USER"
            yield wrong(
                what,
                f"its rows may not be read, which closes gaps: {error.reason}",
                f'GRANT SELECT ON TABLE {name} TO "{user}"; or, with the same effect, '
                f"{self._grant('table', name, 'read')}; or do without: catch_up: off",
            )

    def _filter(self, filter_: str, what: str, name: str) -> Iterator[Finding]:
        found = list(self._monitor(what, name, "insert", filter_))
        plain = list(self._monitor(what, name, "delete")) if found else []
        if found and not plain:
            yield wrong(
                f"filter of table {name}",
                f"Kinetica refuses it: {found[0].text.partition(': ')[2]}",
                "mend the table's filter: a condition on its columns, as SQL has it after WHERE",
            )
        else:
            yield from plain

    def _monitor(
        self, what: str, name: str, event: str, filter_: str | None = None
    ) -> Iterator[Finding]:
        schema = name.partition(".")[0]
        self._schemas.add(schema)
        wanted = f"{prefix('check')}trial_{secrets.token_hex(4)}"
        try:
            made = self._cluster.create_monitor(name, event, wanted, filter_)
        except RequestRefused as error:
            yield wrong(
                what,
                f"no monitor of it may be made: {error.reason}",
                self._grant("table_monitor", schema, "create"),
            )
            return
        try:
            self._cluster.clear_monitor(made.topic_id)
        except RequestRefused as error:
            yield odd(
                what,
                f"the monitor {made.topic_id} of this check could not be cleared: {error.reason}",
                self._grant("table_monitor", made.topic_id, "admin"),
            )

    def _grant(self, kind: str, what: str, permission: str) -> str:
        """Return the call that grants something, to be made by an administrator."""
        body = {
            "principal": self._config.kinetica.username or "USER",
            "object": what,
            "object_type": kind,
            "permission": permission,
            "options": {},
        }
        return (
            f"curl -u ADMIN -H 'Content-Type: application/json' "
            f"{self._cluster.url}/grant/permission -d {shlex.quote(json.dumps(body))}"
        )


def _is_read(entry: Table, schema: Schema) -> bool:
    """Whether the service reads the table's rows."""
    by_default = entry.catch_up is None and bool(schema.primary_key)
    asked = entry.catch_up not in (None, "off")
    return by_default or asked or entry.snapshot == "initial" or entry.update_rows is not None
