"""The suite that shows a sink keeps its contract; a sink author subclasses it in their tests.

    class TestMySink(SinkConformance):
        @pytest.fixture(autouse=True)
        def destination(self, tmp_path):
            self.path = tmp_path / "events.db"

        def make_sink(self):
            return MySink(MySettings(type="my", path=self.path))

        def read_back(self):
            return [bytes(value) for value in rows_of(self.path)]

Each test starts with an empty destination, which a fixture of the subclass provides. What a
sink does not declare is skipped.
"""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import ValidationError

from bridge.events import Event
from bridge.sinks.base import Sink
from bridge.testing.driver import drive
from bridge.testing.events import make_event
from bridge.testing.settings import check_defaults

ODD_TABLES = ("ki_home.with/slash", "ki_home.größe 量", "..", "ki_home.%2F", "ki_home.{table}")


class SinkConformance(ABC):
    """The scenarios; a subclass says how to make the sink and how to read back what it wrote.

    Attributes:
        order: within what the destination keeps the order of events: all of them, those of one
            `table`, those of one `key` in a table, or `none`.
        largest_value: bytes of an event value that the sink is shown to take.
        notifications_apart: whether what is no row goes to a place of its own, with an order of
            its own.
        unspeakable: characters that no text in the destination can have.
    """

    order: ClassVar[Literal["all", "table", "key", "none"]] = "table"
    largest_value: ClassVar[int] = 512 * 1024
    notifications_apart: ClassVar[bool] = False
    unspeakable: ClassVar[str] = ""

    @abstractmethod
    def make_sink(self) -> Sink:
        """Return a new sink, not opened, that writes to this test's destination."""

    @abstractmethod
    def read_back(self) -> Sequence[bytes]:
        """Return the event values that the destination holds, in its order.

        Must not go through the sink: what another reader sees counts.
        """

    def unacceptable(self) -> Event | None:
        """Return an event, of offset 5, that the destination never takes; None if it takes all."""
        return None

    def restart(self) -> bool:
        """Kill the destination and start it on what it has kept; False where it has no life."""
        return False

    def test_every_event_arrives_whole_once_and_in_order(self) -> None:
        """Batches of 1, 2 and many, of several tables and types, come out as they went in."""
        events = _stream(400)
        sink = self._opened()
        for part in (events[:1], events[1:3], events[3:200], events[200:]):
            result = drive(sink, part)
            _equal("confirmed", result.delivered, part)
        sink.close()
        held = self._held(events)
        _equal("held", sorted(held), [event.offset for event in events])
        self._in_order(events, held)

    def test_what_is_confirmed_is_there(self) -> None:
        """When `deliver` has returned, another reader finds the events, the sink being open."""
        sink = self._opened()
        events = _stream(30)
        for begin in range(0, 30, 10):
            drive(sink, events[begin : begin + 10])
            _includes(self._held(events), events[: begin + 10])
        sink.close()

    def test_a_sink_that_says_it_uses_no_keys_needs_none(self) -> None:
        """With `keyed = False` rows come without keys, and arrive all the same."""
        sink = self._opened()
        if sink.keyed:
            sink.close()
            raise unittest.SkipTest("it uses keys")
        events = [event._replace(key=None) for event in _stream(30)]
        drive(sink, events)
        sink.close()
        _equal("held", sorted(self._held(events)), [event.offset for event in events])
        if self.order == "key":
            raise AssertionError("order by key without keys: say keyed = True")

    def test_a_new_sink_goes_on_where_the_old_one_ended(self) -> None:
        """A sink closed and another opened add to what is there, and take nothing away."""
        events = _stream(40)
        for part in (events[:20], events[20:]):
            sink = self._opened()
            drive(sink, part)
            sink.close()
        _equal("held", sorted(self._held(events)), [event.offset for event in events])
        self._in_order(events, self._held(events))

    def test_a_closed_sink_can_be_opened_again(self) -> None:
        """The engine closes and opens one sink over and over, as connections come and go."""
        events = _stream(20)
        sink = self._opened()
        drive(sink, events[:10])
        sink.close()
        sink.open()
        drive(sink, events[10:])
        sink.close()
        _equal("held", sorted(self._held(events)), [event.offset for event in events])

    def test_redelivery_changes_nothing_but_the_number_of_copies(self) -> None:
        """Sent twice, as after a crash, each event is there once or twice, equal to the byte."""
        events = _stream(30)
        for _ in range(2):
            sink = self._opened()
            drive(sink, events)
            sink.close()
        held = self._held(events)
        _includes(held, events)
        copies = max(held.count(offset) for offset in set(held))
        _equal("most copies of an event are one or two", copies in {1, 2}, True)
        self._in_order(events, list(dict.fromkeys(held)))

    def test_odd_tables_and_values_arrive_unchanged(self) -> None:
        """Names with slashes, blanks and dots, text of every kind, no key, the largest value."""
        texts = ["", "größe", "量\U0001f980", "\u2028", '"\\\n\t\x00', "{table}", "a" * 10_000]
        without = str.maketrans("", "", self.unspeakable)
        texts = [text.translate(without) for text in texts]
        events = [
            make_event(offset, table=table, record={"text": text}, key=key)
            for offset, (table, text, key) in enumerate(
                (table, text, key)
                for table in ODD_TABLES
                for text in texts
                for key in (None, {"k": text[:100]})
            )
        ]
        room = self.largest_value - len(make_event(10**6, record={"text": ""}).value)
        events.append(make_event(10**6, record={"text": "x" * room}))
        sink = self._opened()
        result = drive(sink, events)
        sink.close()
        _equal("rejected", result.rejected, [])
        _equal("held", sorted(self._held(events)), [event.offset for event in events])

    def test_a_rejected_event_fails_alone(self) -> None:
        """The event that is never taken is rejected, with a reason, and all others arrive."""
        poison = self.unacceptable()
        if poison is None:
            raise unittest.SkipTest("the destination takes everything")
        _equal("offset of the unacceptable event", poison.offset, 5)
        events = _stream(20)
        events[5] = poison
        sink = self._opened()
        result = drive(sink, events)
        sink.close()
        _equal("rejected", [event.offset for event, _ in result.rejected], [5])
        _equal("the reason is given", bool(str(result.rejected[0][1])), True)
        others = [event for event in events if event is not poison]
        held = self._held(events)
        _equal("held", sorted(set(held)), [event.offset for event in others])
        self._in_order(others, list(dict.fromkeys(held)))

    def test_a_restart_of_the_destination_loses_nothing(self) -> None:
        """Killed after it confirmed, it still has the events; more arrive when it is back."""
        events = _stream(60)
        sink = self._opened()
        drive(sink, events[:30])
        if not self.restart():
            sink.close()
            raise unittest.SkipTest("the destination cannot be restarted")
        _includes(self._held(events), events[:30])
        drive(sink, events[30:])
        sink.close()
        held = self._held(events)
        _includes(held, events)
        self._in_order(events, list(dict.fromkeys(held)))

    def test_check_writes_nothing(self) -> None:
        """Trying the connection leaves no event behind, before `open` and after."""
        sink = self.make_sink()
        sink.check()
        sink.open()
        sink.check()
        sink.close()
        _equal("held", list(self.read_back()), [])

    def test_close_may_come_twice_or_without_open(self) -> None:
        """Closing is idempotent."""
        sink = self.make_sink()
        sink.close()
        sink.open()
        sink.close()
        sink.close()

    def test_settings_are_strict(self) -> None:
        """Each setting says what it is for, has a default of its type, and others are refused."""
        model = type(self.make_sink()).Settings
        check_defaults(model)
        for name, field in model.model_fields.items():
            if name not in {"batch", "retry"} and not field.description:
                raise AssertionError(f"{model.__name__}.{name} has no description")
        try:
            model.model_validate({"no_such_setting": 1})
        except ValidationError as error:
            if any(each["type"] == "extra_forbidden" for each in error.errors()):
                return
        raise AssertionError(f"{model.__name__} takes a setting that it does not know")

    def _opened(self) -> Sink:
        sink = self.make_sink()
        sink.open()
        return sink

    def _held(self, sent: Sequence[Event]) -> list[int]:
        """Return the offsets that the destination holds; fail if a value is not one sent."""
        values = {event.value: event.offset for event in sent}
        held = []
        for value in self.read_back():
            if value not in values:
                raise AssertionError(f"the destination holds what was not sent: {value[:500]!r}")
            held.append(values[value])
        return held

    def _in_order(self, sent: Sequence[Event], held: Sequence[int]) -> None:
        by_offset = {event.offset: event for event in sent}
        last: dict[object, int] = {}
        for offset in held:
            lane = self._lane(by_offset[offset])
            if lane is None:
                continue
            if last.get(lane, -1) > offset:
                raise AssertionError(f"{offset} stands after {last[lane]}, order by {self.order}")
            last[lane] = offset

    def _lane(self, event: Event) -> object | None:
        apart = self.notifications_apart and event.type not in {"insert", "read"}
        if self.order == "all":
            return apart
        if self.order == "table":
            return apart, event.table
        if self.order == "key" and event.key is not None:
            return apart, event.table, event.key
        return None


def _stream(count: int) -> list[Event]:
    tables = ("ki_home.orders", "ki_home.weather", "other.t")
    events = []
    for offset in range(count):
        table = tables[offset % 3]
        if offset % 10 == 7:
            events.append(make_event(offset, table=table, type="update", count=offset))
        elif offset % 10 == 9:
            events.append(make_event(offset, table=table, type="drop"))
        else:
            key = {"order_id": offset % 7}
            events.append(make_event(offset, table=table, record={"n": offset}, key=key))
    return events


def _equal(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {_difference(found, wanted)}")


def _includes(held: Iterable[int], events: Iterable[Event]) -> None:
    missing = {event.offset for event in events} - set(held)
    if missing:
        raise AssertionError(f"confirmed and not there: offsets {sorted(missing)[:20]}")


def _difference(found: object, wanted: object) -> str:
    if isinstance(found, list) and isinstance(wanted, list):
        missing = [each for each in wanted if each not in found][:10]
        extra = [each for each in found if each not in wanted][:10]
        return f"{len(found)} of {len(wanted)}; missing {missing}, extra {extra}"
    return f"{found!r}, and not {wanted!r}"
