"""Settings of the sink `webhook`: where to, who we are, what every request carries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.sinks.base import Batching, SinkSettings
from bridge.sinks.secret_files import read_files
from bridge.sinks.signing import parse_secret
from bridge.units import Duration, Size

LONGEST_TIMEOUT = 30.0  # seconds

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset({"content-length", "content-type", "host", "transfer-encoding"})


class Tls(BaseModel):
    """How the receiver's certificate is verified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = Field(
        default=None, description="Certificates to trust (PEM) in place of the system's."
    )
    verify: bool = Field(
        default=True, description="Whether the certificate is verified; false trusts anybody."
    )

    @field_validator("ca_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"no such file: {path}")
        return path


class WebhookBatching(Batching):
    """How many events one request carries."""

    max_events: int = Field(default=500, ge=1, le=100_000, description="Most events in a request.")
    max_bytes: Size = Field(default=2**20, description="Most bytes of event values in a request.")
    max_wait: Duration = Field(
        default=0.1, description="How long an event may wait for the request to fill."
    )


class WebhookSettings(SinkSettings):
    """Settings of the sink `webhook`."""

    # An error that quoted its input would print the secrets in it.
    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["webhook"] = Field(description="Posts batches of events as JSON arrays.")
    url: str = Field(
        description="Where to post; http or https.", examples=["https://example.com/hooks/kinetica"]
    )
    secret: SecretStr | None = Field(
        default=None,
        description=(
            "Signs each request after Standard Webhooks: `whsec_` and the key in base64; "
            "any other text is the key itself."
        ),
    )
    previous_secret: SecretStr | None = Field(
        default=None, description="Signs as well, while the receiver changes to a new secret."
    )
    username: str | None = Field(default=None, description="User name for Basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password of that user.")
    bearer_token: SecretStr | None = Field(
        default=None, description="Sent as `Authorization: Bearer`."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="More headers of each request; a name ending in `_file` is given a file.",
    )
    timeout: Duration = Field(
        default=10.0,
        description="How long to wait for a connection, then for an answer; at most 30s.",
    )
    tls: Tls = Field(default=Tls(), description="How the receiver's certificate is verified.")
    batch: WebhookBatching = WebhookBatching()

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("this is no http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("credentials belong into username and password: an address is logged")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("percent-encode what is no printable ASCII")
        _ = parts.port  # raises ValueError where it is out of range
        return url

    @field_validator("timeout")
    @classmethod
    def _usable_timeout(cls, seconds: float) -> float:
        if not 0 < seconds <= LONGEST_TIMEOUT:
            raise ValueError(f"must be more than 0s and at most {LONGEST_TIMEOUT:g}s")
        return seconds

    @field_validator("headers", mode="before")
    @classmethod
    def _read_header_files(cls, headers: Any) -> Any:
        return read_files(headers) if isinstance(headers, dict) else headers

    @field_validator("headers")
    @classmethod
    def _usable_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no header name")
            if name.lower() in _OURS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} is set by the bridge")
            if not _VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"the value of {name} is no printable ASCII on one line")
        return headers

    @model_validator(mode="after")
    def _consistent(self) -> WebhookSettings:
        self.signing_keys()
        given = [name for name in ("username", "bearer_token") if getattr(self, name)]
        given += [name for name in self.headers if name.lower() == "authorization"]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given: keep one")
        return self

    def signing_keys(self) -> list[bytes]:
        """Return the keys to sign with, the current one first; none where nothing is signed.

        Raises:
            ValueError: a secret is none, or there is a previous one and no current one.
        """
        if self.previous_secret is not None and self.secret is None:
            raise ValueError("previous_secret is given without secret")
        given = [secret for secret in (self.secret, self.previous_secret) if secret is not None]
        return [parse_secret(secret.get_secret_value()) for secret in given]

    def public_url(self) -> str:
        """Return the address without its query, which may hold a token."""
        return urlsplit(self.url)._replace(query="", fragment="").geturl()
