"""Small parts of the configuration that concern the service as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge.config.section import PositiveDuration, PositiveSize, Section
from bridge.units import Duration


class DeadLetters(Section):
    """How long events are kept that no destination took."""

    max_size: PositiveSize = Field(
        default=2**30,
        description=(
            "Most disk all of them may take; what is too much goes oldest first, from the table "
            "and sink that have most."
        ),
    )
    max_age: PositiveDuration = Field(
        default=30 * 86400.0, description="How long each is kept at most."
    )


class Log(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe messages that are logged."
    )
    format: Literal["json", "console"] | None = Field(
        default=None, description="Form of a line; default: console on a terminal, else json."
    )


class Shutdown(Section):
    """How the bridge ends."""

    grace: Duration = Field(
        default=8.0, description="How long it may go on delivering after SIGTERM."
    )
