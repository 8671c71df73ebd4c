"""The files that a configuration names, by the names of the settings, and whether they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# How settings are called that name a secret, a certificate or a key by its path.
_NAMES = ("_file", ".location", "sslrootcert", "sslcert", "sslkey")
# Bytes of a file that are looked at; a certificate fits.
_MOST = 2**20


def paths_in(data: Any, key: str = "") -> Iterator[str]:
    """Yield the paths of files that settings name.

    Args:
        data: settings as plain data.
        key: that they stand under.
    """
    if isinstance(data, Mapping):
        for name, inner in data.items():
            yield from paths_in(inner, str(name))
    elif isinstance(data, list | tuple):
        for inner in data:
            yield from paths_in(inner, key)
    elif isinstance(data, str | Path) and key.endswith(_NAMES):
        yield str(data)


def files_digest(paths: Iterable[str]) -> str:
    """Return a digest of what files hold; one that cannot be read counts as empty."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        digest.update(f"{path}\0".encode(errors="surrogateescape"))
        try:
            with Path(path).open("rb") as file:
                digest.update(hashlib.sha256(file.read(_MOST)).digest())
        except (OSError, ValueError):
            continue
    return digest.hexdigest()
