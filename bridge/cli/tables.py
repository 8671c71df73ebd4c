"""The table that an argument names: one that the configuration watches."""

from __future__ import annotations

from bridge.config import Config
from bridge.config.names import qualified
from bridge.config.nearest import suggestion
from bridge.errors import ConfigurationError


def one_table(config: Config, name: str) -> str:
    """Return the qualified name of a table that is watched.

    Raises:
        ConfigurationError: no entry of the configuration means it.
    """
    table = qualified(name)
    if config.entry(table) is None:
        named = sorted(qualified(entry.name) for entry in config.tables)
        raise ConfigurationError([f"no table {table} is watched; {suggestion(table, named)}"])
    return table
