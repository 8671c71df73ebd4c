"""What `check` finds out about a cluster and its topics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from bridge.errors import Retry
from bridge.sinks.base import Caution, SinkError
from bridge.sinks.kafka_cursors import TOPIC
from bridge.sinks.kafka_settings import KafkaSettings
from bridge.sinks.kafka_topics import Topics
from bridge.sinks.names import is_of_table


def findings(
    topics: Topics,
    settings: KafkaSettings,
    tables: Collection[str],
    place_of: Callable[[str], str],
    sizes: Mapping[str, int],
) -> str | None:
    """Look at the topics of tables.

    Args:
        topics: of the cluster.
        settings: of the sink.
        tables: by qualified name.
        place_of: says which topic is a table's.
        sizes: bytes that an event of a table takes, about, where that is known.

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
    shared = [
        f"tables {', '.join(map(repr, same))} share the topic {topic}"
        for topic, same in places.items()
        if len(same) > 1 and is_of_table(settings.topic)
    ]
    notes: list[str] = []
    wanted = set(places) | ({TOPIC} if settings.transactional else set())
    missing = topics.missing(wanted)
    problems += _missing(topics, settings, missing - {TOPIC}, notes)
    ours = int(settings.configuration().get("message.max.bytes", 1_000_000))
    limits = topics.limits(set(places) - missing)
    for topic, limit in limits.items():
        if limit < ours:
            notes.append(f"topic {topic} takes requests of {limit} bytes at most")
    problems += _too_large(places, limits, ours, sizes)
    if problems:
        raise SinkError("; ".join([*problems, *shared, *notes]))
    if shared:
        cure = "give the tables topics of their own: {schema} and {name} in topic, or two sinks"
        return Caution("; ".join(["can be reached", *shared, *notes]), cure)
    return "; ".join(["can be reached", *notes]) if notes else None


def _too_large(
    places: Mapping[str, Collection[str]],
    limits: Mapping[str, int],
    ours: int,
    sizes: Mapping[str, int],
) -> list[str]:
    """Say which tables have events that no message can hold."""
    return [
        f"an event of table {table} takes about {sizes[table]} bytes, and a message to topic "
        f"{topic} {min(limits.get(topic, ours), ours)} at most: it is larger than the limit"
        for topic, same in places.items()
        for table in same
        if sizes.get(table, 0) > min(limits.get(topic, ours), ours)
    ]


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
