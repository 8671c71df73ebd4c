"""From slices of encoded events to messages in a producer's queue.

The only code that runs once for each event: no `Event` is made, and what a message needs is taken
from the lines' buffers, a thousand at a time. With headers or a timestamp that is `produce`, by
position; without both, `produce_batch`, which knows neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.lines import Slice

CLOUDEVENT = "application/cloudevents"
CHUNK = 1000  # events; `produce_batch` holds the interpreter's lock for so many

Header = list[tuple[str, str | bytes | None]]
Report = Callable[[KafkaError | None, Message], None]


class Feeder:
    """Puts messages into a producer's queue, in order.

    Args:
        producer: whose queue it is.
        report: called with each message that fails later on; must not raise.
        headers: whether a message has ours; those of CloudEvents it has in any case.
        timestamps: whether it has the event's time; else that of now.
    """

    __slots__ = ("_headers", "_producer", "_report", "_timestamps")

    def __init__(
        self, producer: Producer, report: Report, *, headers: bool, timestamps: bool
    ) -> None:
        self._producer = producer
        self._report = report
        self._headers = headers
        self._timestamps = timestamps

    def feed(
        self, topic: str, events: Slice, present: frozenset[int] = frozenset()
    ) -> Iterator[tuple[int, KafkaError]]:
        """Produce events; yield the offset and the error of each that cannot be.

        Args:
            topic: where to.
            events: of one table.
            present: offsets of those that get the present time.
        """
        for start in range(0, len(events), CHUNK):
            part = events.part(start, min(start + CHUNK, len(events)))
            if self._headers or self._timestamps or is_cloudevent(part):
                yield from self._one_by_one(topic, part, present)
            else:
                yield from self._at_once(topic, part)

    def _one_by_one(
        self, topic: str, part: Slice, present: frozenset[int]
    ) -> Iterator[tuple[int, KafkaError]]:
        produce, report = self._producer.produce, self._report
        # By position, as names cost a fifth: … any partition, report, partitioner, ms, headers.
        for offset, value, key, time, headers in zip(
            range(part.offset, part.end),
            values(part),
            keys(part),
            self._times(part, present),
            self._all_headers(part),
            strict=True,
        ):
            try:
                produce(topic, value, key, -1, report, None, time, headers)
            except BufferError:
                error = self._when_there_is_room(
                    partial(produce, topic, value, key, -1, report, None, time, headers)
                )
                if error is not None:
                    yield offset, error
            except KafkaException as exception:
                yield offset, exception.args[0]

    def _when_there_is_room(self, produce: Callable[[], None]) -> KafkaError | None:
        while len(self._producer):
            self._producer.poll(0.1)
            try:
                produce()
            except BufferError:
                continue
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                return error
            return None
        return _never_fits()

    def _at_once(self, topic: str, part: Slice) -> Iterator[tuple[int, KafkaError]]:
        messages: list[dict[str, Any]] = [
            {"value": value, "key": key}
            for value, key in zip(values(part), keys(part), strict=True)
        ]
        first = part.offset
        while messages:
            good = self._producer.produce_batch(topic, messages, -1, self._report)
            if good == len(messages):
                return
            full = len(messages)
            for index, message in enumerate(messages):
                error = message.pop("_error", None)
                if error is None:
                    continue
                if error.code() == KafkaError._QUEUE_FULL:  # of all that follow, too
                    full = index
                    break
                yield first + index, error
            first += full
            messages = messages[full:]
            if messages and not self._make_room(messages):
                yield first, _never_fits()
                first, messages = first + 1, messages[1:]

    def _make_room(self, messages: Sequence[dict[str, Any]]) -> bool:
        """Wait until some have left the queue; False if it is empty and the first one is not in."""
        for message in messages:
            message.pop("_error", None)
        if not len(self._producer):
            return False
        self._producer.poll(0.1)
        return True

    def _times(self, part: Slice, present: frozenset[int]) -> Iterable[int]:
        if not self._timestamps:
            return repeat(0, len(part))  # librdkafka takes the present time
        if not present:
            return milliseconds(part)
        return [
            0 if offset in present else time
            for offset, time in enumerate(milliseconds(part), part.offset)
        ]

    def _all_headers(self, part: Slice) -> Iterable[Header | None]:
        if is_cloudevent(part):
            return _cloudevent_headers(part)
        if not self._headers:
            return repeat(None, len(part))
        prefix = f"{part.lines.journal_id}-"
        type_: tuple[str, str] = ("type", part.lines.type)
        table = ("table", part.table)
        return (  # one at a time: a thousand lists at once are work for the collector
            [("id", prefix + offset), type_, table, ("offset", offset)]
            for offset in map(str, range(part.offset, part.end))
        )


def is_cloudevent(part: Slice) -> bool:
    """Tell whether events are in one of the forms of CloudEvents, which have their own headers."""
    lines = part.lines
    return lines.attributes is not None or lines.content_type.startswith(CLOUDEVENT)


def _cloudevent_headers(part: Slice) -> Iterable[Header]:
    content: tuple[str, str] = ("content-type", part.lines.content_type)
    if part.lines.attributes is None:
        return repeat([content], len(part))
    every = part.lines.attributes.of(part.lines, part.start, part.stop, "ce_")
    return ([content, *attributes] for attributes in every)


def values(part: Slice) -> list[bytes]:
    """Return the values of events, without their line feeds."""
    lines = part.lines
    ends = lines.ends[part.start : part.stop]
    return _cut(lines.buffer, lines.start(part.start), ends, int(lines.line_feed))


def keys(part: Slice) -> Iterable[bytes | None]:
    """Return the keys of events, None for each where rows have none."""
    lines = part.lines
    if lines.keys is None or lines.key_ends is None:
        return repeat(None, len(part))
    begin = int(lines.key_ends[part.start - 1]) if part.start else 0
    return _cut(lines.keys, begin, lines.key_ends[part.start : part.stop], 0)


def milliseconds(part: Slice) -> list[int]:
    """Return the times of events."""
    found: list[int] = []
    index = 0
    for count, time in part.lines.times:
        ours = min(index + count, part.stop) - max(index, part.start)
        if ours > 0:
            found += [time // 1000] * ours
        index += count
        if index >= part.stop:
            break
    return found


def _cut(buffer: bytes, begin: int, ends: memoryview, less: int) -> list[bytes]:
    listed = ends.tolist()
    begins = [begin, *listed]
    return [buffer[start : end - less] for start, end in zip(begins, listed, strict=False)]


def _never_fits() -> KafkaError:
    """Return what to say of a message that the empty queue has no room for."""
    return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
