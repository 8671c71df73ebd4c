"""One connection to Redis, and what its answers are about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as Retries

from bridge.errors import Reject, Retry
from bridge.foreign import Cleaner
from bridge.sinks.base import NotConnected

MOST_BYTES = 512 * 2**20  # what a server takes of one value unless it says otherwise

# The first word of an answer. Of the whole server, which another connection may cure:
_GONE = {"LOADING", "READONLY", "NOAUTH", "WRONGPASS", "MASTERDOWN"}
# Of one stream: it is something else, not ours to write, or on another node of a cluster.
_STREAM = {"WRONGTYPE", "NOPERM", "MOVED", "ASK", "CROSSSLOT"}

_CURES = {
    "MOVED": "a Redis Cluster is not supported: name a server that is none",
    "WRONGTYPE": "the key is there and is no stream: choose another name, or delete it",
    "OOM": "the server is full: see max_length, and its maxmemory-policy",
}

log = structlog.get_logger()


class Session:
    """A connection that is open.

    Args:
        url: of the server.
        timeout: seconds for a connection and for an answer.

    Attributes:
        most_bytes: of one value, that the server takes.

    Raises:
        NotConnected: nobody is there, or lets us in.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._clean = Cleaner(_secrets(url))
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A command that was sent again by itself would be there twice.
            retry=Retries(NoBackoff(), 0),
            client_name="kinetica-bridge",
        )
        try:
            self._client.ping()
            settings = self._settings(
                "proto-max-bulk-len", "appendonly", "maxmemory", "maxmemory-policy"
            )
        except RedisError as error:
            self.close()
            raise NotConnected(self._text(error)) from None
        self.most_bytes = int(settings.get("proto-max-bulk-len", MOST_BYTES))
        _say_what_is_weak(settings)

    def add(
        self, stream: str, entries: Iterable[Sequence[bytes | str]], max_length: int | None
    ) -> Retry | Reject | None:
        """Add entries to a stream, all or none; return what is wrong with the stream, if it is.

        Raises:
            NotConnected: the connection is gone; whether they were added is not known.
            Retry: the server takes nothing now.
        """
        trim = () if max_length is None else ("MAXLEN", "~", str(max_length))
        # A transaction: what the server refuses of it, it refuses before anything is done.
        commands = self._client.pipeline(transaction=True)
        for fields in entries:
            commands.execute_command("XADD", stream, *trim, "*", *fields)  # type: ignore[no-untyped-call]
        try:
            commands.execute()
        except RedisError as error:
            return self._verdict(error)
        except OSError as error:
            raise NotConnected(self._clean(str(error))) from None
        return None

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(RedisError, OSError):
            self._client.close()

    def _settings(self, *names: str) -> dict[str, str]:
        """Ask for settings of the server; what we may not ask for is left out."""
        found: dict[str, str] = {}
        for name in names:
            try:
                answer: Any = self._client.config_get(name)
            except (redis.ConnectionError, redis.TimeoutError):
                raise
            except RedisError:
                continue
            found |= {str(_text(key)): str(_text(value)) for key, value in answer.items()}
        return found

    def _verdict(self, error: RedisError) -> Retry | Reject:
        text = self._text(error)
        word = _word(error)
        if isinstance(error, redis.ConnectionError | redis.TimeoutError) or word in _GONE:
            raise NotConnected(text) from None
        if word in _STREAM:
            return Retry(text, answer=text)
        if word == "ERR":
            return Retry(text, answer=text, answered=True)
        raise Retry(text, answer=text)

    def _text(self, error: RedisError) -> str:
        # What stands before quotes the command, with the event in it.
        said = str(error).rpartition("caused error: ")[2]
        text = self._clean(said or type(error).__name__)
        cure = _CURES.get(_word(error))
        return f"{text} ({cure})" if cure else text


def check_url(url: str) -> None:
    """See that the client understands an address.

    Raises:
        ValueError: it does not.
    """
    try:
        redis.Redis.from_url(url).close()
        scheme = urlsplit(url).scheme
    except (ValueError, TypeError, RedisError):  # whose text may quote the password
        scheme = ""
    if scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("url must be redis://…, rediss://… or unix://…")


def _secrets(url: str) -> list[str]:
    parts = urlsplit(url)
    given = [parts.password or "", *(at.partition("=")[2] for at in parts.query.split("&"))]
    return [form for secret in given for form in (secret, unquote(secret)) if len(secret) > 3]


def _word(error: RedisError) -> str:
    """Return the first word of the server's answer, which says what kind it is."""
    status = getattr(error, "status_code", None)
    said = str(error).rpartition("caused error: ")[2]
    return str(status) if status else said.partition(" ")[0]


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _say_what_is_weak(settings: dict[str, str]) -> None:
    if settings.get("appendonly") == "no":
        log.warning("redis_promise_weakened", cause="appendonly is no: a crash loses entries")
    policy = settings.get("maxmemory-policy", "")
    if policy.startswith("allkeys") and settings.get("maxmemory") != "0":
        cause = f"maxmemory-policy is {policy}: a full server deletes streams"
        log.warning("redis_promise_weakened", cause=cause)
