"""The attributes of a CloudEvent: those that the events of a block share, and each one's own.

Source: CloudEvents 1.0.2, sections 3.1 to 3.3; its documented extensions, `sequence`.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from bridge.events import EventType, ReadCause

# What it is called, and what it says; without the prefix that headers have.
Attribute = tuple[str, str]


@lru_cache(maxsize=4096)
def shared_attributes(
    instance: str, type_: EventType, table: str, cluster: str, cause: ReadCause | None = None
) -> tuple[Attribute, ...]:
    """Return the attributes that all events of one kind, table and cluster have.

    The source names no cluster: after a failover the events are still those of the same table.

    Args:
        instance: the name of this bridge.
        type_: of the events.
        table: the qualified name.
        cluster: the URL they came from.
        cause: why rows were read.
    """
    source = f"/kinetica/{quote(instance, safe='')}/{quote(table, safe='')}"
    shared = [
        ("specversion", "1.0"),
        ("source", source),
        ("type", f"com.kinetica.bridge.{type_}"),
        ("kineticatable", table),
        ("kineticacluster", cluster),
    ]
    if cause is not None:
        shared.append(("kineticacause", cause))
    return tuple(shared)


def padded(offset: int) -> str:
    """Write an offset such that the order of the text is that of the numbers.

    >>> padded(1234)
    '00000000000000001234'
    """
    return f"{offset:020d}"
