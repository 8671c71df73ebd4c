"""What became of the events of a batch for Kafka: nothing is noted of those that were taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, Message

from bridge.lines import Slice
from bridge.sinks.base import Reject, Retry
from bridge.sinks.kafka_messages import keys, values


@dataclass(slots=True)
class Outcome:
    """What became of a batch; whatever is not named was taken.

    Attributes:
        rejected: by offset.
        closed: topics that take nothing now.
        retried: what goes out again, and why.
        lost: the error after which the producer is unfit.
        times_refused: whether the broker refused the time of an event.
        held: events by offset that were left out of a transaction, and why.
        undone: times that a transaction was undone for no fault of its events.
        behind: tables and keys of which the later events wait: behind which offset, and why.
    """

    rejected: dict[int, Reject] = field(default_factory=dict)
    closed: dict[str, Retry] = field(default_factory=dict)
    retried: list[tuple[Slice, Retry]] = field(default_factory=list)
    lost: Retry | None = None
    times_refused: bool = False
    undone: int = 0
    held: dict[int, Retry] = field(default_factory=dict)
    behind: dict[tuple[str, bytes], tuple[int, Retry]] = field(default_factory=dict)

    @property
    def is_clear(self) -> bool:
        """Whether everything was taken."""
        return not (self.rejected or self.closed or self.retried or self.held or self.lost)

    def is_lost(self) -> bool:
        """Tell whether the producer can send no more."""
        return self.lost is not None

    def retry(self, slices: Sequence[Slice], error: Retry | Reject | None) -> None:
        """Have events sent again; also refused ones, since none was looked at alone."""
        if error is not None:
            # Plain: the sink has a new producer by then, and need not be opened for it.
            answered = isinstance(error, Reject) or error.answered
            again = Retry(str(error), answered=answered, answer=error.answer)
            self.retried += [(each, again) for each in slices]

    def hold_back(self, slices: Sequence[Slice], offset: int, error: Retry | Reject) -> None:
        """Let what has an event's key and comes later wait for it."""
        part = next(each for each in slices if each.offset <= offset < each.end)
        key = part.lines.key(offset - part.lines.first)
        if key is not None:
            again = Retry(f"waits for event {offset} of its key: {error}")
            self.behind.setdefault((part.table, key), (offset, again))

    def left_of(self, slices: Sequence[Slice], topic_of: Callable[[Slice], str]) -> list[Slice]:
        """Return what may still be sent of some events; what waits for others is held."""
        if not (self.rejected or self.closed or self.held or self.behind):
            return list(slices)
        found: list[Slice] = []
        for each in slices:
            if topic_of(each) not in self.closed:
                found += self._left_of(each)
        return found

    def _left_of(self, piece: Slice) -> Iterator[Slice]:
        tables = {table for table, _ in self.behind}
        begin = 0
        for index, key in enumerate(keys(piece) if piece.table in tables else ()):
            offset = piece.offset + index
            waits = None if key is None else self.behind.get((piece.table, key))
            if waits is not None and offset > waits[0]:
                self.held.setdefault(offset, waits[1])
        out = sorted({o for o in (*self.rejected, *self.held) if piece.offset <= o < piece.end})
        for offset in out:
            if begin < offset - piece.offset:
                yield piece.part(begin, offset - piece.offset)
            begin = offset - piece.offset + 1
        if begin < len(piece):
            yield piece.part(begin, len(piece))


class Reports:
    """The failed messages of one round.

    Nothing but their value tells them apart, and it has the event's id in it; where values are
    equal all the same, the events share a fate.
    """

    __slots__ = ("_errors",)

    def __init__(self) -> None:
        self._errors: dict[tuple[str | None, int], KafkaError] = {}

    def add(self, error: KafkaError | None, message: Message) -> None:
        """Take a report; called for failures alone."""
        if error is not None:
            self._errors[message.topic(), hash(message.value())] = error

    def __bool__(self) -> bool:
        return bool(self._errors)

    def found(
        self, slices: Sequence[Slice], topic_of: Callable[[Slice], str]
    ) -> Iterator[tuple[str, int, KafkaError]]:
        """Give topic, offset and error of each failed event."""
        if not self._errors:
            return
        for each in slices:
            topic = topic_of(each)
            for offset, value in enumerate(values(each), each.offset):
                error = self._errors.get((topic, hash(value)))
                if error is not None:
                    yield topic, offset, error


def with_followers(slices: Sequence[Slice], failed: Collection[int]) -> list[Slice]:
    """Return the failed events and, after each, the later ones of the same table and key."""
    lanes: set[tuple[str, bytes]] = set()
    found: list[Slice] = []
    for each in slices:
        begin = None
        for index, key in enumerate(keys(each)):
            lane = (each.table, key) if key is not None else None
            if each.offset + index in failed or (lane is not None and lane in lanes):
                if lane is not None:
                    lanes.add(lane)
                begin = index if begin is None else begin
            elif begin is not None:
                found.append(each.part(begin, index))
                begin = None
        if begin is not None:
            found.append(each.part(begin, len(each)))
    return found


def halves(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Part events in two runs of the same length, give or take one."""
    middle = sum(map(len, slices)) // 2
    first: list[Slice] = []
    second: list[Slice] = []
    for each in slices:
        cut = min(max(middle, 0), len(each))
        if cut:
            first.append(each.part(0, cut))
        if cut < len(each):
            second.append(each.part(cut, len(each)))
        middle -= len(each)
    return first, second
