"""The table of states, and what the probe decides."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.events import Column, Schema
from bridge.monitor.probe import Action, Observation, View, decide
from bridge.monitor.states import TRANSITIONS, IllegalSignal, Signal, State, step
from bridge.wire.calls import MonitorInfo, TableInfo

SCHEMA = Schema("7", (Column("n", "int", "int"),))
VIEW = View(
    name="s.t",
    state=State.LIVE,
    established=True,
    type_id="7",
    monitors=frozenset({"m"}),
    connected_at=1.0,
    quiet_for=0.0,
    inactivity_timeout=60.0,
)
SEEN = Observation(
    asked_at=2.0,
    tables={"s.t": TableInfo("s.t", SCHEMA)},
    monitors={"m": MonitorInfo("m", "s.t", "insert")},
)


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
        ({}, SEEN, Action.GOOD, None),
        ({"quiet_for": 61.0}, SEEN, Action.QUIET, None),
        ({"connected_at": None}, SEEN, Action.DEAF, None),
        ({"connected_at": 2.5}, SEEN, Action.DEAF, None),
        ({"established": False}, SEEN, Action.ESTABLISH, None),
        ({}, dataclasses.replace(SEEN, tables={}), Action.DROPPED, None),
        ({"type_id": "8"}, SEEN, Action.RENEW, "altered"),
        ({}, dataclasses.replace(SEEN, monitors={}), Action.RENEW, "monitor_lost"),
        (
            {},
            dataclasses.replace(SEEN, monitors={"m": MonitorInfo("m", "s.t", "insert", True)}),
            Action.RENEW,
            "monitor_lost",
        ),
        ({"state": State.FAILED}, SEEN, Action.RETIRE, None),
        ({"state": State.DROPPED, "established": False}, SEEN, Action.NOTHING, None),
    ],
)
def test_the_probe_decides(
    changes: dict[str, object], seen: Observation, action: Action, reason: str | None
) -> None:
    """What a table is and what was seen of it give one action."""
    assert decide(dataclasses.replace(VIEW, **changes), seen) == (action, reason)
