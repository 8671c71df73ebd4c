"""The ids of our table monitors: recognisable as ours, and naming the schema they carry.

    kbridge_<instance>_<table>_<event>_<filter>_<type id>

The instance keeps two bridges on one cluster apart; table and filter are digests; the type
id lets a frame's topic name its schema; the filter is part of the name so that a monitor
with another filter is never taken for ours. Source: protocol, sections 4.1 and 4.3 (an id
follows table naming rules and may come back qualified with a schema).
"""

from __future__ import annotations

import hashlib
import re

_PREFIX = "kbridge"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def prefix(instance: str, table: str | None = None) -> str:
    """Return how the ids of an instance's monitors begin, or just those of one table."""
    start = f"{_PREFIX}_{instance}_"
    return start if table is None else f"{start}{_digest(table)}_"


def monitor_id(instance: str, table: str, filter_: str | None, event: str, type_id: str) -> str:
    """Name the monitor of one kind of event on one layout of a table."""
    layout = re.sub(r"[^A-Za-z0-9]", "", type_id)
    return f"{prefix(instance, table)}{event}_{_digest(filter_ or '')}_{layout}"


def unqualified(monitor: str) -> str:
    """Return a monitor's id without the schema that the server may have put before it.

    >>> unqualified("ki_home.kbridge_0a1b2c3d_11223344_insert_00000000_77")
    'kbridge_0a1b2c3d_11223344_insert_00000000_77'
    """
    return monitor.rpartition(".")[2]
