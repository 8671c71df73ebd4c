"""What tables are, many at once: by the cheapest way that a cluster allows.

The catalogue says it of all tables in one SQL call. Where it is refused, `/show/table` of the
schema says it, with access data if it knows that option; where few tables are asked for, or the
schema has too many to be listed in time, each is asked for by itself. What a cluster refuses is
remembered, and tried again now and then.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import structlog

from bridge.errors import ClusterUnavailable, ReplyNotUnderstood, RequestRefused, WireError
from bridge.wire.client import Http, understanding
from bridge.wire.tables import Facts, TableInfo, number, read_facts, read_tables

log = structlog.get_logger()

# Names in one statement: some 30 KiB of text, and fewer rows than a reply may have.
_CHUNK = 500
# So many tables of a schema are asked for one by one rather than by listing it whole.
FEW = 8
# Of tables that can only be asked for one by one, so many are in one look, in turns.
_TURN = 64
# Seconds until a way that failed is tried again.
_REFUSED, _FAILED = 600.0, 60.0
_OBJECTS = (
    "SELECT object_name, oid, type_id, write_count, last_write_time, alter_count "
    "FROM ki_catalog.ki_objects WHERE schema_name = {} AND object_name IN ({})"
)
_NAMES = (
    "SELECT object_name FROM ki_catalog.ki_objects "
    "WHERE schema_name = {} AND obj_kind IN ('R', 'M')"
)
_EXISTS = {"no_error_if_not_exists": "true"}


class Catalogue:
    """Asks one cluster what its tables are. Any thread may ask."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._sql_from = self._listing_from = 0.0  # not before then, by the monotonic clock
        self._access_data = True
        self._turn = 0

    @property
    def by_sql(self) -> bool:
        """Whether the catalogue is asked, as far as is known."""
        return time.monotonic() >= self._sql_from

    def facts(self, names: Iterable[str], timeout: float) -> dict[str, Facts | None]:
        """Return what tables are, None for those that do not seem to exist.

        Those that had no turn are not in it.

        Raises:
            WireError: the cluster does not say, in no way.
        """
        schemas: dict[str, list[str]] = {}
        for name in names:
            schemas.setdefault(name.rpartition(".")[0], []).append(name)
        found: dict[str, Facts | None] = {}
        if self.by_sql:
            try:
                for schema, wanted in schemas.items():
                    for i in range(0, len(wanted), _CHUNK):
                        found |= self._ask_catalogue(schema, wanted[i : i + _CHUNK], timeout)
            except WireError as error:
                gone = isinstance(error, ClusterUnavailable)
                self._sql_from = time.monotonic() + (_FAILED if gone else _REFUSED)
                log.warning("catalogue_refused", cluster=self._http.url, cause=str(error))
            else:
                return found
        for schema, wanted in schemas.items():
            found |= self._show(schema, wanted, timeout)
        return found

    def table(
        self, name: str, *, sizes: bool = False, timeout: float | None = None
    ) -> TableInfo | None:
        """Return one table's layout and facts, None where there is no such table."""
        options = {"show_children": "false", **({"get_sizes": "true"} if sizes else {})}
        with understanding(self._http, "/show/table"):
            found = read_tables(self._ask_show(name, options, timeout), name.rpartition(".")[0])
            return next(iter(found.values()), None)

    def tables(
        self, schema: str, wanted: Sequence[str] | None, timeout: float
    ) -> dict[str, TableInfo]:
        """Return tables of a schema by qualified name, all where `wanted` is None."""
        names = None if wanted is None else frozenset(wanted)
        with understanding(self._http, "/show/table"):
            reply = self._ask_show(schema, {"show_children": "true"}, timeout)
            return read_tables(reply, schema, names)

    def names(self, schema: str, timeout: float) -> frozenset[str]:
        """Return the qualified names of all tables of a schema."""
        if self.by_sql:
            try:
                rows = self._run(_NAMES.format(_quoted(schema)), timeout)
                return frozenset(f"{schema}.{name}" for (name,) in rows)
            except (RequestRefused, ReplyNotUnderstood) as error:
                log.warning("catalogue_refused", cluster=self._http.url, cause=str(error))
                self._sql_from = time.monotonic() + _REFUSED
        with understanding(self._http, "/show/table"):
            reply = self._ask_show(schema, {"show_children": "true"}, timeout)
            listed = zip(reply["table_names"], reply["type_ids"], strict=True)
            return frozenset(
                name if "." in name else f"{schema}.{name}" for name, type_id in listed if type_id
            )

    def _ask_catalogue(
        self, schema: str, names: Sequence[str], timeout: float
    ) -> dict[str, Facts | None]:
        bare = (_quoted(name.rpartition(".")[2]) for name in names)
        found: dict[str, Facts | None] = dict.fromkeys(names)
        for name, oid, type_id, writes, written, alters in self._run(
            _OBJECTS.format(_quoted(schema), ",".join(bare)), timeout
        ):
            full = f"{schema}.{name}"
            found[full] = Facts(
                full,
                str(type_id),
                "" if oid is None else f"oid:{oid}",
                number(writes),
                "" if written is None else str(written),
                number(alters),
            )
        return found

    def _run(self, statement: str, timeout: float) -> Iterator[tuple[Any, ...]]:
        """Return a query's rows (protocol, section 2.4: they come by columns)."""
        endpoint = "/execute/sql"
        body = {
            "statement": statement,
            "offset": 0,
            "limit": -9999,
            "encoding": "json",
            "request_schema_str": "",
            "data": [],
        }
        with understanding(self._http, endpoint):
            reply = self._http.call(endpoint, body, timeout=timeout)
            if reply["has_more_records"]:
                raise ValueError("all rows at once")
            columns = orjson.loads(reply["json_encoded_response"])
            headers = columns["column_headers"]
            return zip(*(columns[f"column_{i}"] for i in range(1, len(headers) + 1)), strict=True)

    def _show(self, schema: str, names: Sequence[str], timeout: float) -> dict[str, Facts | None]:
        if len(names) > FEW and time.monotonic() >= self._listing_from:
            started = time.monotonic()
            try:
                with understanding(self._http, "/show/table"):
                    reply = self._ask_show(schema, {"show_children": "true"}, timeout)
                    listed = read_facts(reply, schema, frozenset(names))
            except ClusterUnavailable as error:
                self._stop_listing(schema, str(error))
            else:
                if time.monotonic() - started > timeout / 2:
                    self._stop_listing(schema, "it has too many tables to be listed in time")
                return {name: listed.get(name) for name in names}
        start, self._turn = self._turn % len(names), self._turn + _TURN
        found: dict[str, Facts | None] = {}
        for i in range(min(_TURN, len(names))):
            name = names[(start + i) % len(names)]
            with contextlib.suppress(RequestRefused):  # that table's own trouble
                info = self.table(name, timeout=timeout)
                found[name] = None if info is None else info.facts
        return found

    def _stop_listing(self, schema: str, cause: str) -> None:
        self._listing_from = time.monotonic() + _REFUSED
        log.warning("schema_not_listed", cluster=self._http.url, schema=schema, cause=cause)

    def _ask_show(
        self, name: str, options: Mapping[str, str], timeout: float | None
    ) -> dict[str, Any]:
        """Ask `/show/table`, with access data unless the cluster does not know the option."""
        endpoint, plain = "/show/table", {**_EXISTS, **options}
        if self._access_data:
            extended = {**plain, "get_access_data": "true"}
            body = {"table_name": name, "options": extended}
            with contextlib.suppress(RequestRefused):
                return self._http.call(endpoint, body, timeout=timeout)
        reply = self._http.call(endpoint, {"table_name": name, "options": plain}, timeout=timeout)
        if self._access_data:  # that was it
            self._access_data = False
            log.info("access_data_refused", cluster=self._http.url)
        return reply


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
