"""What every part of the configuration is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bridge.units import Duration, Size


def not_empty(value: Any) -> Any:
    """Refuse the empty text: as a path it would be the folder we run in.

    Raises:
        ValueError: it is empty.
    """
    if value == "":
        raise ValueError("must not be empty")
    return value


PositiveDuration = Annotated[Duration, Field(gt=0)]
PositiveSize = Annotated[Size, Field(gt=0)]
SomePath = Annotated[Path, BeforeValidator(not_empty)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
