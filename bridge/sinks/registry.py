"""How a sink is found by the `type` its configuration names.

A sink is published under the entry-point group `kinetica_bridge.sinks`, by this distribution
and by anybody's. Nothing is imported before it is asked for, so that a plug-in that cannot be
imported harms nobody but its users.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import structlog

from bridge.errors import BridgeError, excerpt
from bridge.sinks.base import Sink

GROUP = "kinetica_bridge.sinks"

_log = structlog.get_logger(__name__)


class SinkNotFound(BridgeError, ValueError):
    """No usable sink has this type; the message says why, or names the nearest that has.

    Also a `ValueError`, so that a validator may let it pass and the file's line is named.
    """


def available() -> dict[str, type[Sink]]:
    """Return the sinks that can be used here, by type, in the order of their names.

    A plug-in that cannot be imported is left out and logged; `find` raises for it.
    """
    sinks = {}
    for name in sorted(_published()):
        try:
            sinks[name] = find(name)
        except SinkNotFound as error:
            _log.warning("sink_unusable", type=name, cause=str(error))
    return sinks


def find(type_name: str) -> type[Sink]:
    """Return the class of the sink that is published as `type_name`.

    Raises:
        SinkNotFound: nothing is published under that name, two distributions claim it, it
            cannot be imported, or what it names is no sink.
    """
    published = _published()
    if type_name not in published:
        raise SinkNotFound(_unknown(type_name, sorted(published)))
    first, *others = published[type_name]
    if others:
        owners = ", ".join(sorted(_owner(entry) for entry in (first, *others)))
        raise SinkNotFound(
            f"sink type {type_name!r} is published more than once, by {owners}",
            hint="uninstall all but one",
        )
    return _load(first)


def _published() -> Mapping[str, list[EntryPoint]]:
    published: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        same = published.setdefault(entry.name, [])
        if all(entry.value != other.value for other in same):
            same.append(entry)
    return published


def _load(entry: EntryPoint) -> type[Sink]:
    label = f"sink type {entry.name!r} ({entry.value} of {_owner(entry)})"
    try:
        found = entry.load()
    except Exception as error:
        cause = excerpt(f"{type(error).__name__}: {error}")
        raise SinkNotFound(f"{label} cannot be imported: {cause}") from error
    if not (inspect.isclass(found) and issubclass(found, Sink)):
        raise SinkNotFound(f"{label} is no subclass of bridge.sinks.Sink")
    if inspect.isabstract(found) or not hasattr(found, "Settings"):
        raise SinkNotFound(f"{label} lacks `Settings`, `__init__` or `deliver`")
    return found


def _owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed distribution"


def _unknown(type_name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(type_name, known, n=1)
    question = f": did you mean {nearest[0]!r}?" if nearest else ":"
    return f"no sink type {type_name!r}{question} known are {', '.join(known) or 'none'}"
