"""From settings to the format that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

from bridge.formats.avro import AvroFormat
from bridge.formats.avro_registry import Numbering, Registry
from bridge.formats.base import Carries, Format
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.csv import CsvFormat
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.json import JsonFormat
from bridge.formats.raw import RawFormat
from bridge.formats.registry_settings import SchemaRegistry
from bridge.formats.settings import FormatName, FormatSettings

FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


_CLASSES: dict[FormatName, type[Format]] = {
    "json": JsonFormat,
    "cloudevents": CloudEvents,
    "cloudevents-binary": CloudEventsBinary,
    "debezium": DebeziumFormat,
    "avro": AvroFormat,
    "raw": RawFormat,
    "csv": CsvFormat,
}


def format_class(name: FormatName) -> type[Format]:
    """Return the class of a format; what it needs of a sink is an attribute of it."""
    return _CLASSES[name]


def formats_of(carries: Collection[Carries]) -> list[FormatName]:
    """Return the formats that a sink takes which can carry this.

    >>> formats_of({Carries.ATTRIBUTES})
    ['json', 'cloudevents', 'cloudevents-binary']
    """
    return [name for name in FORMAT_NAMES if format_class(name).needs <= set(carries)]


def make_format(
    settings: FormatSettings,
    instance: str,
    place: Callable[[str], str],
) -> Format:
    """Make the format that a sink's settings ask for.

    Args:
        settings: of the sink.
        instance: the name of this bridge.
        place: gives the name of where a table's rows go, a topic say; may raise `Retry`.

    Raises:
        ValueError: avro without a schema registry, which no configuration is let through with.
    """
    match settings.format:
        case "avro":
            return _avro(settings.schema_registry, place)
        case "cloudevents":
            return CloudEvents(instance)
        case "cloudevents-binary":
            return CloudEventsBinary(instance)
        case "debezium":
            return DebeziumFormat(instance, settings.schemas)
        case _:
            return format_class(settings.format)()


def _avro(settings: SchemaRegistry | None, place: Callable[[str], str]) -> Format:
    if settings is None:
        raise ValueError("avro needs a schema registry")

    def connect() -> Numbering:
        from bridge.formats.avro_client import Client  # noqa: PLC0415 (half a second of imports)

        return Client(settings)

    return AvroFormat(Registry(settings.name, connect, settings.timeout), settings.subjects, place)
