"""From settings to the format that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

from bridge.formats.base import Carries, Format
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.csv import CsvFormat
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.json import JsonFormat
from bridge.formats.raw import RawFormat
from bridge.formats.settings import FormatName, FormatSettings

FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


def format_class(name: FormatName) -> type[Format]:
    """Return the class of a format; what it needs of a sink is an attribute of it."""
    match name:
        case "cloudevents":
            return CloudEvents
        case "cloudevents-binary":
            return CloudEventsBinary
        case "debezium":
            return DebeziumFormat
        case "raw" | "avro":
            return RawFormat
        case "csv":
            return CsvFormat
        case "json":
            return JsonFormat


def formats_of(carries: Collection[Carries]) -> list[FormatName]:
    """Return the formats that a sink takes which can carry this.

    >>> formats_of({Carries.ATTRIBUTES})
    ['json', 'cloudevents', 'cloudevents-binary']
    """
    return [name for name in FORMAT_NAMES if format_class(name).needs <= set(carries)]


def make_format(
    settings: FormatSettings,
    instance: str,
    place: Callable[[str], str],  # noqa: ARG001
) -> Format:
    """Make the format that a sink's settings ask for.

    Args:
        settings: of the sink.
        instance: the name of this bridge.
        place: gives the name of where a table's rows go, a topic say; may raise `Retry`.
    """
    match settings.format:
        case "cloudevents":
            return CloudEvents(instance)
        case "cloudevents-binary":
            return CloudEventsBinary(instance)
        case "debezium":
            return DebeziumFormat(instance, settings.schemas)
        case "raw":
            return RawFormat()
        case "csv":
            return CsvFormat()
        case _:
            return JsonFormat()
