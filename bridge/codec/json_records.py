"""Records as JSON objects: the columns, the form of their values, compiled once.

The place of a transcoder in C, which would go from Avro bytes to JSON bytes without the
dicts between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import orjson

from bridge.codec.json_values import Rewrite, declared_rewrite, kinetica_rewrite
from bridge.events import Column

Values = Literal["declared", "kinetica"]
"""Which forms values take: what the declared type means, or those that Kinetica sends."""

_REWRITES = {"declared": declared_rewrite, "kinetica": kinetica_rewrite}


class JsonForm:
    """One way to write a schema's records: which columns, in which form."""

    def __init__(
        self, columns: Sequence[Column], values: Values, names: Sequence[str] | None = None
    ) -> None:
        """Compile; `names` picks columns and orders them, None means all in wire order.

        Raises:
            ValueError: no such column, or `values` is neither form.
        """
        if values not in _REWRITES:
            raise ValueError(f"values must be one of {get_args(Values)}, not {values!r}")
        by_name = {column.name: column for column in columns}
        if missing := [name for name in names or () if name not in by_name]:
            raise ValueError(f"no column {', '.join(missing)} among {', '.join(by_name)}")
        self._names = names
        self._rewrites: list[tuple[str, Rewrite]] = [
            (name, rewrite)
            for name in (by_name if names is None else dict.fromkeys(names))
            if (rewrite := _REWRITES[values](by_name[name])) is not None
        ]

    def write(self, records: list[dict[str, Any]]) -> list[bytes]:
        """Write decoded records, which are used up: their values are replaced in place."""
        for name, rewrite in self._rewrites:
            rewrite(records, name)
        if self._names is not None:
            records = [{name: record[name] for name in self._names} for record in records]
        return list(map(orjson.dumps, records))
