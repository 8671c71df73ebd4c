"""Where the schemas of Avro events are registered, as it is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.units import Duration

Subjects = Literal["topic", "record", "topic-record"]


class RegistryTls(BaseModel):
    """How an https registry proves who it is, and how we do."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) to trust instead of those that are commonly trusted.",
    )
    cert_file: Path | None = Field(
        default=None, description="Our certificate (PEM), where the registry wants one."
    )
    key_file: Path | None = Field(
        default=None, description="Its private key (PEM), where cert_file has none."
    )

    @model_validator(mode="after")
    def _key_of_something(self) -> RegistryTls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file is the key of a certificate; add cert_file")
        return self


class SchemaRegistry(BaseModel):
    """Where the schemas of Avro events are registered."""

    # An error that quoted its input would print the secrets in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(
        min_length=1,
        description="Its address; several of one registry are separated by commas.",
        examples=["http://schema-registry:8081"],
    )
    username: str | None = Field(default=None, description="User name, or API key.")
    password: SecretStr | None = Field(default=None, description="The user's password.")
    tls: RegistryTls = Field(
        default=RegistryTls(), description="Whom to trust, and the certificate to show."
    )
    subjects: Subjects = Field(
        default="topic",
        description=(
            "What a subject is named after: topic is `<topic>-value`, record the schema and table, "
            "topic-record both."
        ),
    )
    auto_register: bool = Field(
        default=True,
        description=(
            "Whether schemas are registered; if not, a table waits until somebody else has "
            "registered its schema."
        ),
    )
    normalize: bool = Field(
        default=False, description="Whether the registry normalizes a schema before it compares."
    )
    timeout: Duration = Field(
        default=5.0, gt=0, description="How long a whole call to the registry may take."
    )

    @field_validator("url")
    @classmethod
    def _addresses(cls, url: str) -> str:
        for each in url.split(","):
            parts = urlsplit(each.strip())
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("write http://HOST:PORT or https://HOST:PORT")
            if parts.username is not None or parts.password is not None:
                raise ValueError("credentials do not belong into it; use username and password")
            if parts.query or parts.fragment:
                raise ValueError("it has no query and no fragment")
        return url

    @model_validator(mode="after")
    def _whole_login(self) -> SchemaRegistry:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.username is not None and ":" in self.username:
            raise ValueError("a username has no colon")
        return self

    @property
    def name(self) -> str:
        """How errors call it."""
        return f"schema registry {self.url}"
