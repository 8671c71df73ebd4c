"""From settings to the format that they ask for."""

from __future__ import annotations

from collections.abc import Callable

from bridge.formats.base import Format
from bridge.formats.json import JsonFormat
from bridge.formats.settings import FormatName, FormatSettings


def format_class(name: FormatName) -> type[Format]:
    """Return the class of a format; what it needs of a sink is an attribute of it."""
    match name:
        case _:
            return JsonFormat


def make_format(
    settings: FormatSettings,
    instance: str,  # noqa: ARG001
    place: Callable[[str], str],  # noqa: ARG001
) -> Format:
    """Make the format that a sink's settings ask for.

    Args:
        settings: of the sink.
        instance: the name of this bridge.
        place: gives the name of where a table's rows go, a topic say; may raise `Retry`.
    """
    match settings.format:
        case _:
            return JsonFormat()
