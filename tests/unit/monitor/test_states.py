"""The table of states, and what the probe decides."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bridge.monitor.channel import Line
from bridge.monitor.moment import Moment
from bridge.monitor.probe import Action, Monitors, Observation, View, decide
from bridge.monitor.states import TRANSITIONS, IllegalSignal, Signal, State, step
from bridge.wire.calls import Facts, MonitorInfo

FACTS = Facts("s.t", "7", "oid:1")
VIEW = View(
    name="s.t",
    state=State.LIVE,
    established=True,
    expected=FACTS,
    identity="oid:1",
    known=True,
    monitors=(frozenset({"m", "topic"}),),
    line=Line(connected_at=Moment(1.0, 1.0)),
    quiet_for=0.0,
    inactivity_timeout=60.0,
)


def monitors(*ids: str, suspended: bool = False) -> Monitors:
    return Monitors({each: MonitorInfo(each, "s.t", "insert", suspended) for each in ids})


SEEN = Observation(asked_at=Moment(2.0, 2.0), monitors=monitors("m"), facts={"s.t": FACTS})
ESTABLISHING = {"established": False, "expected": None, "line": Line()}


def test_every_state_has_a_row_and_can_be_reached() -> None:
    """No state is forgotten, and none can only be started in but the first."""
    reached = {state for row in TRANSITIONS.values() for state in row.values()}

    assert set(TRANSITIONS) == set(State)
    assert reached == set(State)


def test_a_signal_that_a_state_does_not_know_raises() -> None:
    """A table that is not listened to cannot be found quiet."""
    with pytest.raises(IllegalSignal, match="QUIET in state connecting"):
        step(State.CONNECTING, Signal.QUIET)


@pytest.mark.parametrize("end", [State.FAILED, State.DROPPED])
def test_the_ends_are_final(end: State) -> None:
    """No signal leads out of them, and none is an error in them."""
    assert {step(end, signal) for signal in Signal} == {end}


@pytest.mark.parametrize(
    ("changes", "seen", "action", "reason"),
    [
        ({}, {}, Action.GOOD, None),
        ({"quiet_for": 61.0}, {}, Action.QUIET, None),
        ({"line": Line()}, {}, Action.DEAF, None),
        ({"line": Line(Moment(2.5, 2.5))}, {}, Action.DEAF, None),
        ({"line": Line(closed=True)}, {}, Action.RENEW, "disconnected"),
        (ESTABLISHING, {}, Action.ESTABLISH, None),
        (ESTABLISHING, {"facts": {"s.t": None}}, Action.LOOK, None),
        ({**ESTABLISHING, "known": False}, {"facts": {"s.t": None}}, Action.ESTABLISH, None),
        ({}, {"facts": {"s.t": None}}, Action.LOOK, None),
        ({"expected": None}, {"facts": {"s.t": None}}, Action.GOOD, None),
        ({}, {"facts": {"s.t": FACTS._replace(type_id="8")}}, Action.LOOK, None),
        ({}, {"facts": {"s.t": FACTS._replace(identity="oid:2")}}, Action.LOOK, None),
        ({}, {"facts": {"s.t": FACTS._replace(identity="created:2026")}}, Action.GOOD, None),
        ({}, {"facts": {}}, Action.NOTHING, None),
        ({}, {"monitors": monitors()}, Action.RENEW, "monitor_lost"),
        ({}, {"monitors": monitors("m", suspended=True)}, Action.RENEW, "monitor_lost"),
        ({}, {"monitors": monitors("ki_home.m")}, Action.GOOD, None),
        ({}, {"monitors": monitors("other.topic")}, Action.GOOD, None),
        ({"state": State.FAILED}, {}, Action.RETIRE, None),
        ({"state": State.DROPPED, "established": False}, {}, Action.NOTHING, None),
    ],
)
def test_the_probe_decides(
    changes: dict[str, Any], seen: dict[str, Any], action: Action, reason: str | None
) -> None:
    """What a table is and what was seen of it give one action."""
    view, told = dataclasses.replace(VIEW, **changes), dataclasses.replace(SEEN, **seen)

    assert decide(view, told) == (action, reason)
