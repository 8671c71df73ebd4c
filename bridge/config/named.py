"""The sinks and tables that somebody names: those that there are, or an error that says which."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.config.models import Config
from bridge.config.names import qualified
from bridge.config.nearest import no_sink, suggestion
from bridge.errors import ConfigurationError


def known_sink(config: Config, name: str, more: Iterable[str] = ()) -> str:
    """Return the id of a sink that is configured.

    Args:
        config: the whole configuration.
        name: what somebody wrote.
        more: further sinks that may be named.

    Raises:
        ConfigurationError: there is none of that id.
    """
    sinks = {*config.sinks, *more}
    if name not in sinks:
        raise ConfigurationError([no_sink(name, sorted(sinks))])
    return name


def watched_table(config: Config, name: str, more: Iterable[str] = ()) -> str:
    """Return the qualified name of a table that is watched.

    Args:
        config: the whole configuration.
        name: what somebody wrote.
        more: qualified names of further tables that may be named.

    Raises:
        ConfigurationError: no entry of the configuration means it.
    """
    table, others = qualified(name), set(more)
    if config.entry(table) is None and table not in others:
        named = sorted({*(qualified(entry.name) for entry in config.tables), *others})
        raise ConfigurationError([f"no table {table} is watched; {suggestion(table, named)}"])
    return table
