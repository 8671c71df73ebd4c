"""The files that a configuration names, by the names of the settings, and whether they changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

# How settings are called that name a secret, a certificate or a key by its path.
_NAMES = ("_file", ".location")
# The same within a connection string of libpq, or in the query of a URL.
_WITHIN = re.compile(
    r"\b(?:sslrootcert|sslcert|sslkey|sslcrl|passfile|ssl_ca_certs|ssl_certfile|ssl_keyfile)"
    r"\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>[^\s&#]+))"
)
# Bytes of a file that are looked at; all certificates of the world fit.
_MOST = 2**24


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
    elif isinstance(data, SecretStr):
        yield from paths_in(data.get_secret_value(), key)
    elif isinstance(data, str | Path) and key.endswith(_NAMES):
        yield str(data)
    elif isinstance(data, str):
        for found in _WITHIN.finditer(data):
            quoted, bare = found.group("quoted", "bare")
            if quoted is not None:
                yield re.sub(r"\\(.)", r"\1", quoted)
            else:
                yield unquote(bare) if "://" in data else bare


def content_of(path: str | Path) -> bytes:
    """Return what a file holds, nothing where it cannot be read.

    Nor where it is no file: what comes out of a pipe, as of a shell's `<(…)`, comes once, and is
    for whoever needs it.
    """
    try:
        if not Path(path).is_file():
            return b""
        with Path(path).open("rb") as file:
            return file.read(_MOST)
    except (OSError, ValueError):
        return b""


def files_digest(paths: Iterable[str | Path]) -> str:
    """Return a digest of what files hold."""
    digest = hashlib.sha256()
    for path in sorted(set(map(str, paths))):
        digest.update(f"{path}\0".encode(errors="surrogatepass"))
        digest.update(hashlib.sha256(content_of(path)).digest())
    return digest.hexdigest()
