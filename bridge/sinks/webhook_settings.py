"""Settings of the sink `webhook`: where to, who we are, what every request carries."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.sinks.base import Batching, SinkSettings
from bridge.sinks.names import OF_TABLE, fill, is_of_table, placeholders, require_known
from bridge.sinks.secret_files import read_file, read_files
from bridge.sinks.signing import parse_secret
from bridge.sinks.webhook_tls import Tls
from bridge.units import Duration, Size

LONGEST_TIMEOUT = 30.0  # seconds

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset(
    {"content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)
_FORMATS = ("json", "cloudevents", "cloudevents-binary")
_HIDDEN = 4  # a part of an address of fewer characters says nothing by itself


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
    url: str | None = Field(
        default=None,
        description=(
            "Where to post; http or https. `{table}`, `{schema}` and `{name}` in its path or "
            "query are the table's, percent-encoded; a request then has events of one table."
        ),
        examples=["https://example.com/hooks/kinetica"],
    )
    url_file: SecretStr | None = Field(
        default=None,
        description="A file with the url, where that is a secret: then it is shown nowhere.",
        examples=["/run/secrets/hook_url"],
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
        description="How long a whole request may take, the answer with it; at most 30s.",
    )
    success: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="The statuses that mean delivered, in place of every 2xx but 207.",
        examples=[[200, 202]],
    )
    parallel: int = Field(
        default=1, ge=1, le=64, description="Requests at once, never two of one table."
    )
    compress: Literal["gzip"] | None = Field(
        default=None, description="How the body is compressed; the receiver must understand it."
    )
    tls: Tls = Field(default=Tls(), description="Whom to trust, and the certificate to show.")
    batch: WebhookBatching = Field(
        default=WebhookBatching(),
        description="How many events one request carries; max_events is 1 with cloudevents.",
    )

    @model_validator(mode="before")
    @classmethod
    def _alone_with_cloudevents(cls, given: Any) -> Any:
        """With CloudEvents an array is sent to who asks for one, and to nobody else."""
        if not isinstance(given, dict) or given.get("format", "json") == "json":
            return given
        batch = given.get("batch", {})
        if isinstance(batch, WebhookBatching):
            batch = batch.model_dump(exclude_unset=True)
        if not isinstance(batch, dict) or "max_events" in batch:
            return given
        return given | {"batch": batch | {"max_events": 1}}

    @field_validator("url_file", mode="before")
    @classmethod
    def _read_url(cls, path: Any) -> Any:
        return path if path is None else read_file(path)

    @field_validator("url_file")
    @classmethod
    def _usable_secret_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        if placeholders(url.get_secret_value()) - set(OF_TABLE):  # not quoted, as elsewhere
            raise ValueError(f"unknown placeholder: there are {', '.join(OF_TABLE)}")
        return SecretStr(str(cls._usable_url(url.get_secret_value())))

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        require_known(url)
        parts = urlsplit(url)
        if placeholders(parts.netloc):
            raise ValueError(f"{', '.join(OF_TABLE)} may stand in the path and the query only")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("this is no http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("credentials belong into username and password: an address is logged")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("percent-encode what is no printable ASCII")
        try:
            parts.hostname.encode("idna")
        except UnicodeError:
            raise ValueError("its host is no name that there can be") from None
        try:
            _ = parts.port
        except ValueError:  # its text quotes what may be a password
            raise ValueError("the port is no number from 0 to 65535") from None
        return url

    @field_validator("timeout")
    @classmethod
    def _usable_timeout(cls, seconds: float) -> float:
        if not 0 < seconds <= LONGEST_TIMEOUT:
            raise ValueError(f"must be more than 0s and at most {LONGEST_TIMEOUT:g}s")
        return seconds

    @field_validator("success")
    @classmethod
    def _final_statuses(cls, success: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if success is not None and not all(200 <= status < 600 for status in success):
            raise ValueError("a status is a number from 200 to 599")
        return success

    @field_validator("secret", "previous_secret", "bearer_token", "password")
    @classmethod
    def _without_line_end(cls, secret: SecretStr | None) -> SecretStr | None:
        # Files and orchestrators leave one behind a secret.
        return secret and SecretStr(secret.get_secret_value().rstrip("\r\n"))

    @field_validator("bearer_token", "password")
    @classmethod
    def _on_one_line(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not secret.get_secret_value().isprintable():
            raise ValueError("it has characters that cannot be printed, such as a line end")
        return secret

    @field_validator("bearer_token")
    @classmethod
    def _usable_token(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _VALUE.fullmatch(secret.get_secret_value()):
            raise ValueError("it is no printable ASCII")
        return secret

    @field_validator("headers", mode="before")
    @classmethod
    def _read_header_files(cls, headers: Any) -> Any:
        return read_files(headers) if isinstance(headers, dict) else headers

    @field_validator("headers")
    @classmethod
    def _usable_headers(cls, given: dict[str, SecretStr]) -> dict[str, SecretStr]:
        headers = {
            name: SecretStr(value.get_secret_value().rstrip("\r\n"))
            for name, value in given.items()
        }
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                # What follows a colon is a value that was written into the name.
                raise ValueError(f"{name.partition(':')[0]!r} is no header name; write NAME: VALUE")
            if name.lower() in _OURS or name.lower().startswith(("webhook-", "ce-")):
                raise ValueError(f"{name} is set by the bridge")
            if not _VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"the value of {name} is no printable ASCII on one line")
        return headers

    @model_validator(mode="after")
    def _consistent(self) -> WebhookSettings:
        if self.url is None and self.url_file is None:
            raise ValueError("it needs a url, or a url_file")
        if self.url is not None and self.url_file is not None:
            raise ValueError("url and url_file are both given: keep one")
        if self.format == "cloudevents-binary" and self.batch.max_events > 1:
            raise ValueError(
                "batch.max_events must be 1 with cloudevents-binary, which has one event a "
                "request; cloudevents can have more"
            )
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

    @property
    def address(self) -> str:
        """Where to post, whether it may be shown or not; it may have placeholders."""
        return self.url_file.get_secret_value() if self.url_file else str(self.url)

    @property
    def alone(self) -> bool:
        """Whether each request has one event, as it stands."""
        return self.format != "json" and self.batch.max_events == 1

    def url_of(self, table: str) -> str:
        """Return where a table's events go."""
        return fill(self.address, table, _encode) if is_of_table(self.address) else self.address

    def shown(self, url: str) -> str:
        """Return an address as it may be shown: without its query, which may hold a token."""
        if self.url_file is not None:
            return "the receiver"
        return urlsplit(url)._replace(query="", fragment="").geturl()

    def authorization(self) -> str | None:
        """Return the value of `Authorization`, None where there are no credentials."""
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token.get_secret_value()}"
        if not self.username:
            return None
        password = self.password.get_secret_value() if self.password else ""
        return f"Basic {base64.b64encode(f'{self.username}:{password}'.encode()).decode()}"

    def secrets(self) -> list[str]:
        """Return what must never be said: credentials, and of the address what may be one."""
        fields = (self.secret, self.previous_secret, self.password, self.bearer_token)
        given = [field.get_secret_value() for field in fields if field is not None]
        given += [value.get_secret_value() for value in self.headers.values()]
        given += [value for _, value in parse_qsl(urlsplit(self.address).query)]
        if self.url_file is not None:
            given += _parts(self.address)
        # Whoever echoes `Authorization` may leave its first word out.
        given += (self.authorization() or "").split(" ")[1:]
        return [secret for secret in given if secret not in OF_TABLE]


def _encode(name: str) -> str:
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="")


def _parts(url: str) -> Iterator[str]:
    """Name the parts of an address by which it would be known, the table's place left out."""
    parts = urlsplit(url)
    yield from (url, parts.netloc, str(parts.hostname))
    behind = url.partition("//")[2].removeprefix(parts.netloc)
    for text in re.split(r"\{[^{}]*\}", behind):
        for piece in (text, text.strip("/"), *re.split(r"[/?&=#]", text)):
            if len(piece) >= _HIDDEN:
                yield from (piece, unquote(piece))
