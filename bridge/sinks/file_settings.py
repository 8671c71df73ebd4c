"""Settings of the sink `file`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bridge.sinks.base import SinkSettings
from bridge.sinks.file_compress import require_method
from bridge.sinks.file_paths import DATE
from bridge.sinks.names import OF_TABLE, require_known
from bridge.units import Duration, Size


class Rotate(BaseModel):
    """When a file is closed under a final name, and the next one begun."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_size: Size | None = Field(
        default=None, gt=0, description="Largest size of a file; one larger event has its own."
    )
    max_age: Duration | None = Field(
        default=None, gt=0, description="How long after its first event a file is closed."
    )

    @model_validator(mode="after")
    def _rotates(self) -> Self:
        if self.max_size is None and self.max_age is None:
            raise ValueError("needs max_size or max_age")
        return self


class FileSettings(SinkSettings):
    """Settings of the sink `file`."""

    type: Literal["file"] = Field(description="Appends one event a line to files.")
    path: str = Field(
        min_length=1,
        description=(
            "The file to append to. `{table}` in it is the table's qualified name, `{schema}` and "
            "`{name}` are its parts, `/` and `%` percent-encoded; `{date}` is the day of the "
            "event, UTC. Folders are created."
        ),
        examples=["/var/lib/kinetica-bridge/out/{table}.jsonl"],
    )
    rotate: Rotate | None = Field(
        default=None, description="When a file is closed under a name with its first offset."
    )
    compress: Literal["gzip", "zstd"] | None = Field(
        default=None, description="How closed files are compressed."
    )

    @field_validator("path")
    @classmethod
    def _names_a_file(cls, path: str) -> str:
        require_known(path, (*OF_TABLE, DATE))
        if path.endswith("/") or "\0" in path:
            raise ValueError("this names no file")
        return path

    @model_validator(mode="after")
    def _can_compress(self) -> Self:
        if self.compress is not None:
            if self.rotate is None:
                raise ValueError("compress is for files that are closed: give rotate as well")
            require_method(self.compress)
        return self
