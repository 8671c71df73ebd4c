"""Addresses as settings: the URLs of clusters, and where the admin pages listen."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

# Rank 0 of a cluster listens here unless told otherwise. Source: protocol, section 4.
DEFAULT_PORT = 9191


def cluster_urls(value: Any) -> tuple[str, ...]:
    """Read the URLs of a ring: a list, or one text with commas between them.

    Raises:
        ValueError: there is none, one is no URL of a cluster, or one stands there twice.

    >>> cluster_urls("kinetica-a, https://kinetica-b/gpudb-0/")
    ('http://kinetica-a:9191', 'https://kinetica-b/gpudb-0')
    """
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(url, str) for url in value):
        raise ValueError("wanted a list of URLs, for example [http://kinetica:9191]")
    if not value:
        raise ValueError("names no cluster; wanted at least one, such as http://kinetica:9191")
    urls = tuple(cluster_url(url) for url in value)
    for index, url in enumerate(urls):
        if url in urls[:index]:
            raise ValueError(f"{url} is given twice")
    return urls


def cluster_url(text: str) -> str:
    """Read one URL of a cluster, with its scheme and port put in, without a last slash.

    Raises:
        ValueError: it is none that can be used.

    >>> cluster_url("[::1]")
    'http://[::1]:9191'
    """
    text = text.strip()
    full = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text quotes what may be a password
        raise ValueError(
            f'"{_shown(text)}" is no URL: its host or its port is none that there can be'
        ) from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f'"{_shown(text)}" must begin with http:// or https://')
    if not host or port == 0 or any(c.isspace() or ord(c) < 32 for c in full):
        raise ValueError(f'"{_shown(text)}" is no URL such as http://kinetica:9191')
    if "@" in parts.netloc:
        raise ValueError("holds credentials; give them as kinetica.username and kinetica.password")
    if parts.query or parts.fragment:
        raise ValueError(f'"{_shown(text)}" must end with its path, without ? or #')
    path = parts.path.rstrip("/")
    if port is None and parts.scheme == "http" and not path:
        port = DEFAULT_PORT
    place = f"[{host}]" if ":" in host else host
    netloc = place if port is None else f"{place}:{port}"
    return SplitResult(parts.scheme, netloc, path, "", "").geturl()


def listen_address(value: Any) -> str:
    """Check a `HOST:PORT`; the host may be a name, an IPv4 address or an IPv6 one in brackets.

    Raises:
        ValueError: it is none.

    >>> listen_address("[::]:9464")
    '[::]:9464'
    """
    example = "wanted HOST:PORT, for example 127.0.0.1:9464, or 0.0.0.0:9464 for every interface"
    if not isinstance(value, str):
        raise ValueError(example)  # noqa: TRY004 (pydantic turns only a ValueError into a problem)
    host, _, port = value.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    plain = bare == host and ":" in host
    if not bare or plain or any(c.isspace() or c in "/@" for c in bare):
        raise ValueError(example)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(example)
    return f"{host}:{int(port)}"


def _shown(text: str) -> str:
    """Leave out what may be a secret: the user and password of a URL, and its query."""
    scheme, mark, rest = text.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2].partition("?")[0]
