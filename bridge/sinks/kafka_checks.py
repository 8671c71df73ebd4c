"""What `check` finds out about a cluster and its topics."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bridge.errors import Retry
from bridge.sinks.base import SinkError
from bridge.sinks.kafka_cursors import TOPIC
from bridge.sinks.kafka_settings import KafkaSettings
from bridge.sinks.kafka_topics import Topics
from bridge.sinks.names import is_of_table


def findings(
    topics: Topics,
    settings: KafkaSettings,
    tables: Collection[str],
    place_of: Callable[[str], str],
) -> str | None:
    """Look at the topics of tables.

    Returns:
        What is worth knowing, None where that is nothing.

    Raises:
        SinkError: something has to be done first.
    """
    places: dict[str, list[str]] = {}
    problems: list[str] = []
    for table in sorted(tables):
        try:
            places.setdefault(place_of(table), []).append(table)
        except Retry as error:
            problems.append(f"table {table}: {error}")
    notes = [
        f"tables {', '.join(map(repr, same))} share the topic {topic}"
        for topic, same in places.items()
        if len(same) > 1 and is_of_table(settings.topic)
    ]
    wanted = set(places) | ({TOPIC} if settings.transactional else set())
    missing = topics.missing(wanted)
    problems += _missing(topics, settings, missing - {TOPIC}, notes)
    for topic, limit in topics.limits(set(places) - missing).items():
        ours = int(settings.configuration().get("message.max.bytes", 1_000_000))
        if limit < ours:
            notes.append(f"topic {topic} takes requests of {limit} bytes at most")
    if problems:
        raise SinkError("; ".join([*problems, *notes]))
    return "; ".join(["can be reached", *notes]) if notes else None


def _missing(
    topics: Topics, settings: KafkaSettings, missing: Collection[str], notes: list[str]
) -> list[str]:
    """Return what stands in the way of topics that are not there."""
    if not missing:
        return []
    names = ", ".join(sorted(missing))
    if settings.create_topics is not None:
        notes.append(f"makes the missing {names}")
        refused = topics.try_to_make(missing)
        return [f"topic {topic} cannot be made: {why}" for topic, why in refused.items()]
    if topics.makes_topics() is False:
        why = "the broker makes none by itself (auto.create.topics.enable)"
        return [f"there is no topic {names}, and {why}: create it, or set create_topics"]
    notes.append(f"there is no topic {names} yet")
    return []
