"""The conformance suite lets a good sink pass, and each kind of bad one fail."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from bridge.events import Event
from bridge.sinks.base import Batch, NotConnected, Reject, Retry, Sink, SinkSettings
from bridge.testing import SinkConformance, drive, make_event, slices_of
from bridge.testing.settings import check_defaults
from bridge.units import Duration, Size


class MemorySettings(SinkSettings):
    type: Literal["memory"] = Field(description="Keeps events in memory.")


class MemorySink(Sink):
    """Appends to a list that outlives it."""

    Settings = MemorySettings

    def __init__(self, held: list[bytes]) -> None:
        self.held = held
        self.connected = False

    def open(self) -> None:
        self.connected = True

    def deliver(self, batch: Batch) -> None:
        assert self.connected
        for event in batch:
            if b"poison" in event.value:
                batch.fail(event, Reject("poison"))
            else:
                self.held.append(event.value)

    def close(self) -> None:
        self.connected = False


class Forgetful(MemorySink):
    """Loses the last event of a large batch."""

    def deliver(self, batch: Batch) -> None:
        super().deliver(Batch(batch.slices[:-1] if len(batch) > 100 else batch.slices))


class Early(MemorySink):
    """Confirms first, and writes when it is closed."""

    def __init__(self, held: list[bytes]) -> None:
        super().__init__(held)
        self.kept: list[bytes] = []

    def deliver(self, batch: Batch) -> None:
        self.kept += [event.value for event in batch]

    def close(self) -> None:
        self.held += self.kept
        self.kept = []


class Shuffling(MemorySink):
    """Turns each batch round."""

    def deliver(self, batch: Batch) -> None:
        super().deliver(Batch(batch.slices[::-1]))


class Mangling(MemorySink):
    """Stores text as ASCII."""

    def deliver(self, batch: Batch) -> None:
        self.held += [event.value.decode().encode("ascii", "replace") for event in batch]


class Overwriting(MemorySink):
    """Begins anew when it is opened."""

    def open(self) -> None:
        super().open()
        self.held.clear()


class Chatty(MemorySink):
    """Tries the connection by writing to it."""

    def check(self) -> None:
        self.held.append(b"{}")


class Brittle(MemorySink):
    """Cannot be closed twice."""

    def close(self) -> None:
        if not self.connected:
            raise RuntimeError("not open")
        super().close()


class Unfair(MemorySink):
    """Rejects the events after a poisoned one with it, and is certain."""

    def deliver(self, batch: Batch) -> None:
        poisoned = False
        for event in batch:
            poisoned = poisoned or b"poison" in event.value
            if poisoned:
                batch.fail(event, Reject("poison", certain=True))
            else:
                self.held.append(event.value)


class LooseSettings(SinkSettings):
    model_config = ConfigDict(extra="ignore")

    type: Literal["memory"] = Field(description="Keeps events in memory.")


class Loose(MemorySink):
    """Takes any setting."""

    Settings = LooseSettings


class TextualSettings(SinkSettings):
    type: Literal["memory"] = Field(description="Keeps events in memory.")
    timeout: Duration = Field(default="10s", description="Never parsed, as it is a default.")


class Textual(MemorySink):
    """Has a default that is no value of its setting."""

    Settings = TextualSettings


def suite_of(kind: type[MemorySink]) -> SinkConformance:
    class Suite(SinkConformance):
        order = "all"
        held: ClassVar[list[bytes]] = []

        def make_sink(self) -> Sink:
            return kind(self.held)

        def read_back(self) -> list[bytes]:
            return list(self.held)

        def unacceptable(self) -> Event:
            return make_event(5, record={"poison": 1})

    return Suite()


SCENARIOS = sorted(name for name in dir(SinkConformance) if name.startswith("test_"))


def failing(kind: type[MemorySink]) -> set[str]:
    failed = set()
    for name in SCENARIOS:
        scenario: Callable[[], None] = getattr(suite_of(kind), name)
        try:
            scenario()
        except unittest.SkipTest:
            continue
        except (AssertionError, RuntimeError):
            failed.add(name)
    return failed


def test_a_sink_that_keeps_the_contract_passes() -> None:
    """Nothing is asked that the contract does not say."""
    assert failing(MemorySink) == set()


@pytest.mark.parametrize(
    ("kind", "scenario"),
    [
        (Forgetful, "test_every_event_arrives_whole_once_and_in_order"),
        (Early, "test_what_is_confirmed_is_there"),
        (Shuffling, "test_every_event_arrives_whole_once_and_in_order"),
        (Mangling, "test_odd_tables_and_values_arrive_unchanged"),
        (Overwriting, "test_a_closed_sink_can_be_opened_again"),
        (Overwriting, "test_a_new_sink_goes_on_where_the_old_one_ended"),
        (Chatty, "test_check_writes_nothing"),
        (Brittle, "test_close_may_come_twice_or_without_open"),
        (Unfair, "test_a_rejected_event_fails_alone"),
        (Loose, "test_settings_are_strict"),
        (Textual, "test_settings_are_strict"),
    ],
)
def test_each_way_to_break_the_contract_is_found(kind: type[MemorySink], scenario: str) -> None:
    """By the scenario that is about it."""
    assert scenario in failing(kind)


class Scripted(MemorySink):
    """Answers with the errors it was given, one a call."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__([])
        self.errors = list(errors)
        self.opened = 0

    def open(self) -> None:
        super().open()
        self.opened += 1

    def deliver(self, batch: Batch) -> None:
        if self.errors:
            raise self.errors.pop(0)
        super().deliver(batch)


def test_driving_retries_until_all_is_confirmed() -> None:
    """`Retry` says so, and `NotConnected` opens the sink anew."""
    sink: Any = Scripted(Retry("gone"), Retry("busy", answered=True), NotConnected("lost"))
    sink.open()
    events = [make_event(offset) for offset in range(5)]

    result = drive(sink, events)

    assert result.delivered == events
    assert [str(error) for error in result.retries] == ["gone", "busy", "lost"]
    assert sink.opened == 2


def test_driving_gives_up_in_time_with_the_last_error() -> None:
    """A sink that never succeeds fails its test instead of hanging it."""
    sink = Scripted(*[Retry("busy")] * 100)
    sink.open()

    with pytest.raises(TimeoutError, match="still failing: busy"):
        drive(sink, [make_event(0)], timeout=0.1)


def test_a_defect_of_the_sink_fails_its_test_at_once() -> None:
    """What is no `SinkError` comes out with its traceback, instead of being tried for a minute."""
    sink = Scripted(ZeroDivisionError("a bug"))
    sink.open()

    with pytest.raises(ZeroDivisionError) as raised:
        drive(sink, [make_event(0)])

    assert raised.traceback[-1].name == "deliver"


def test_a_mark_that_is_no_sink_error_fails_its_test_at_once() -> None:
    """The engine takes it for a defect, and would try again for ever."""
    sink = MemorySink([])
    sink.open()
    sink.deliver = lambda batch: batch.fail(batch[0], ValueError("odd"))  # type: ignore[assignment,method-assign,arg-type]

    with pytest.raises(TypeError, match="marked with a SinkError, not ValueError"):
        drive(sink, [make_event(0)])


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("a bug"), KeyError("a bug")])
def test_a_defect_of_open_fails_its_test_at_once(error: Exception) -> None:
    """Only a sink's error, or the system's, may say that nobody is there."""
    sink = Scripted(NotConnected("lost"))
    sink.open()

    def broken() -> None:
        raise error

    sink.open = broken  # type: ignore[method-assign]

    with pytest.raises(type(error)) as raised:
        drive(sink, [make_event(0)])

    assert raised.traceback[-1].name == "broken"


def test_defaults_are_what_settings_take() -> None:
    """Numbers of seconds and bytes, models and limits; the first that is not is named."""

    class Inner(BaseModel):
        size: Size = 2**20

    class Fine(BaseModel):
        timeout: Duration | None = Field(default=10.0, gt=0)
        inner: Inner = Inner()
        names: tuple[str, ...] = ()

    class Low(Fine):
        timeout: Duration | None = Field(default=None)
        tries: int = Field(default=0, ge=1)

    check_defaults(Fine)
    with pytest.raises(AssertionError, match=r"Low\.tries: the default 0 is none of its values"):
        check_defaults(Low)


def test_driving_finds_the_event_to_blame_under_the_rules_of_the_engine() -> None:
    """Refused, then another one of its table accepted, then refused once more."""
    sink = MemorySink([])
    sink.open()
    calls: list[list[int]] = []
    take = sink.deliver

    def deliver(batch: Batch) -> None:
        calls.append([event.offset for event in batch])
        if any(b"poison" in event.value for event in batch):
            raise Reject("HTTP 400", answer="400 no such order")
        take(batch)

    sink.deliver = deliver  # type: ignore[method-assign]
    events = [make_event(offset) for offset in range(4)]
    events[1] = make_event(1, record={"poison": 1})

    result = drive(sink, events)

    assert calls == [[0, 1, 2, 3], [0, 1], [0], [1], [2], [1], [3]]
    assert [(event.offset, error.answer) for event, error in result.rejected] == [
        (1, "400 no such order")
    ]
    assert {event.offset for event in result.delivered} == {0, 2, 3}


def test_events_are_put_together_as_the_engine_does() -> None:
    """Runs of one table with offsets in a row, keys or none; each event comes out as it was."""
    events = [
        make_event(1, key={"a": 1}),
        make_event(2, key={"a": 22}),
        make_event(3),
        make_event(4, table="other.t"),
        make_event(5, table="other.t"),
        make_event(6, table="other.t", type="drop"),
    ]

    slices = slices_of(events)

    assert [len(each) for each in slices] == [2, 1, 2, 1]
    assert list(Batch(slices)) == events
