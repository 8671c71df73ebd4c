"""What a sink can be told of the form of its events: format, shaping, which of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
)

from bridge.codec import Mask
from bridge.formats.registry_settings import SchemaRegistry
from bridge.formats.shape import Stage

FormatName = Literal["json", "cloudevents", "cloudevents-binary", "debezium", "avro", "raw", "csv"]

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is given twice.

    Raises:
        ValueError: something is.
    """
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f'"{value}" is given twice')
    return values


Names = Annotated[tuple[Text, ...], AfterValidator(unique)]


class Shaping(BaseModel):
    """Which columns of a row go out, under which names, and which are not to be seen."""

    # An error that quoted its input would print the secrets in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    columns: Names | None = Field(
        default=None, min_length=1, description="Only these columns, in this order."
    )
    exclude: Names = Field(default=(), description="Columns to leave out.")
    rename: dict[Text, Text] = Field(
        default={}, description="New names of columns, by the old ones.", examples=[{"a": "b"}]
    )
    mask: dict[Text, Mask] = Field(
        default={},
        description=(
            "Columns whose values must not be seen: hash puts an HMAC-SHA-256 with mask_key in "
            "their place, redact puts stars."
        ),
        examples=[{"email": "hash"}],
    )
    mask_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The key of the hashes: with it, and a guess, a value can be found out.",
    )

    @field_validator("mask_key")
    @classmethod
    def _has_bytes(cls, key: SecretStr | None) -> SecretStr | None:
        try:
            _bytes_of(key)
        except UnicodeEncodeError:
            raise ValueError("has a lone surrogate, which no bytes stand for") from None
        return key

    @property
    def stage(self) -> Stage:
        """What it asks for, as a step of shaping."""
        return Stage(
            self.columns,
            self.exclude,
            tuple(self.rename.items()),
            tuple(self.mask.items()),
            _bytes_of(self.mask_key),
        )


def _bytes_of(key: SecretStr | None) -> bytes:
    """Return a key as the bytes that whoever compares hashes has: a variable may hold any."""
    return b"" if key is None else key.get_secret_value().encode(errors="surrogateescape")


class FormatSettings(BaseModel):
    """Which form events take."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: FormatName = Field(default="json", description="The form of an event.")
    schemas: bool = Field(
        default=False, description="With debezium: whether each event carries its schema."
    )
    schema_registry: SchemaRegistry | None = Field(
        default=None, description="With avro: where schemas are registered."
    )
