"""What a reload finds changed: settings that it does not reach, and files that settings name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bridge.config import Config
from bridge.sinks.base import SinkSettings

# Parts of the configuration that are read at the start alone.
_FIXED = ("kinetica", "journal", "log", "instance")
# How settings are called that name a certificate or a key by its path.
_FILES = ("_file", ".location", "sslrootcert", "sslcert", "sslkey")
# Bytes of a file that are looked at; a certificate fits.
_MOST = 2**20


def restart_keys(runs: Config, wanted: Config) -> tuple[str, ...]:
    """Return the keys whose values only a restart takes over.

    Args:
        runs: what the service was started with.
        wanted: what the file says now.
    """
    found: list[str] = []
    for part in _FIXED:
        old, new = getattr(runs, part), getattr(wanted, part)
        if isinstance(old, BaseModel):
            fields = type(old).model_fields
            found += [f"{part}.{f}" for f in fields if getattr(old, f) != getattr(new, f)]
        elif old != new:
            found.append(part)
    if runs.admin.listen != wanted.admin.listen:
        found.append("admin.listen")
    return tuple(found)


def files_digest(settings: SinkSettings) -> str:
    """Return a digest of the certificates and keys that a sink's settings name by their paths.

    Their content may change while the settings stay; one that cannot be read counts as empty.
    """
    digest = hashlib.sha256()
    for path in sorted(_paths(settings.model_dump(), "")):
        digest.update(f"{path}\0".encode())
        try:
            with Path(path).open("rb") as file:
                digest.update(hashlib.sha256(file.read(_MOST)).digest())
        except (OSError, ValueError):
            continue
    return digest.hexdigest()


def _paths(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(inner, str(name))
    elif isinstance(value, str | Path) and key.endswith(_FILES):
        yield str(value)
