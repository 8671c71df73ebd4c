"""Where the clusters are and how to be let in, from whatever `Client` was given.

That is a URL, several of them, or a connected object with the attributes of the vendor's
`GPUdb`. Such an object is read once and never imported, called for nothing else, or kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from bridge.errors import ConfigurationError
from bridge.wire.client import Access
from bridge.wire.ring import Ring

DEFAULT_TIMEOUT = 30.0
# The vendor's documentation calls its time-out milliseconds, its code takes seconds: a value
# that was meant as the former must not become a wait of hours.
MAX_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Address:
    """The clusters of a ring, primary first, and how to speak to them.

    Attributes:
        timeout: seconds to wait for an answer.
    """

    urls: tuple[str, ...]
    access: Access
    timeout: float = DEFAULT_TIMEOUT

    def make_ring(self) -> Ring:
        """Return a ring of its own for every run; does no I/O."""
        return Ring(self.urls, self.access, self.timeout)


def read_address(db: Any) -> Address:
    """Return the address that `db` stands for; does no I/O.

    Args:
        db: `http[s]://[user:password@]host[:port][/path]`, several of them in a list or
            parted by commas, or an object with the vendor's `GPUdb` attributes.

    Raises:
        ConfigurationError: no URL can be found in it.
    """
    if isinstance(db, str):
        return _from_urls(db.split(","), Access(ca_file=_certificates()))
    if isinstance(db, Iterable):
        return _from_urls(list(db), Access(ca_file=_certificates()))
    return _from_client(db)


def _from_client(db: Any) -> Address:
    nodes = getattr(db, "get_head_node_urls", None)
    urls = [str(url) for url in nodes()] if callable(nodes) else []
    if not urls:
        url = getattr(db, "gpudb_full_url", None)
        urls = [url] if isinstance(url, str) else []
    if not urls:
        raise _refusal(f"neither a URL nor a connected GPUdb: {db!r}")
    access = Access(
        username=getattr(db, "username", None),
        password=getattr(db, "password", None),
        token=getattr(db, "oauth_token", None),
        ca_file=_certificates(),
        verify=not getattr(db, "skip_ssl_cert_verification", False),
    )
    timeout = getattr(db, "timeout", None) or DEFAULT_TIMEOUT
    return _from_urls(urls, access, min(float(timeout), MAX_TIMEOUT))


def _from_urls(urls: list[Any], access: Access, timeout: float = DEFAULT_TIMEOUT) -> Address:
    bare = []
    for url in urls:
        if not isinstance(url, str):
            raise _refusal(f"not a URL: {url!r}")
        if not url.strip():
            continue
        plain, user, password = _without_user(url.strip())
        bare.append(plain)
        if user is not None and access.username is None and access.token is None:
            access = Access(user, password, None, access.ca_file, access.verify)
    if not bare:
        raise _refusal("no URL given")
    return Address(tuple(bare), access, timeout)


def _without_user(url: str) -> tuple[str, str | None, str | None]:
    """Take user and password out of a URL, so that no log ever shows them."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no host")  # noqa: TRY301 (one way out below)
        _ = parts.port
    except ValueError as error:
        shown = url.rpartition("@")[2]
        raise _refusal(f"{shown!r} is not http[s]://host[:port] ({error})") from error
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit((parts.scheme, host, parts.path, "", ""))
    if parts.username is None:
        return plain, None, None
    return plain, unquote(parts.username), unquote(parts.password or "")


def _certificates() -> str | None:
    # Where requests, and so the vendor's client, is told of private certificate authorities.
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


def _refusal(reason: str) -> ConfigurationError:
    return ConfigurationError([f"Client: db: {reason}"])
