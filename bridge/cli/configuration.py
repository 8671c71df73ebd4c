"""The configuration that a command is given, and its secrets, which nothing it prints may have."""

from __future__ import annotations

from pathlib import Path

from bridge import config
from bridge.config import Config, Secrets

_secrets = Secrets()  # of the process


def load(path: Path) -> Config:
    """Read the configuration from a file, and hide its secrets from now on.

    Raises:
        ConfigurationError: with everything that is wrong, one line each.
    """
    loaded = config.load(path)
    _secrets.add(loaded)
    return loaded


def load_again(path: Path) -> tuple[Config, str]:
    """Read it for a reload, with a digest of the file; else as `load`."""
    loaded, digest = config.load_again(path)
    _secrets.add(loaded)
    return loaded, digest


def hide(text: str) -> str:
    """Return a text without the secrets of what was loaded."""
    return _secrets.hide(text)
