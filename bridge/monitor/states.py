"""A table's states and what moves it from one to another.

Two rules: nothing but `step` decides the next state, and a signal that a state does not
know raises and changes nothing. The readiness page, the metric's labels and the diagram in
the documentation come from this table.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class State(StrEnum):
    """What a table's monitor is doing."""

    CONNECTING = "connecting"  # no monitors on a cluster yet
    SNAPSHOTTING = "snapshotting"  # reading the table before the live stream counts as whole
    LIVE = "live"  # proven to hear what happens
    IDLE = "idle"  # proven to hear, and nothing happened for the inactivity timeout
    DEAF = "deaf"  # may be missing events right now
    CATCHING_UP = "catching_up"  # live, and reading what a gap may have lost
    FAILING_OVER = "failing_over"  # on the way to another cluster
    WAITING_FOR_TABLE = "waiting_for_table"  # the table is not there
    DROPPED = "dropped"  # the table was dropped and is not waited for
    FAILED = "failed"  # stopped by policy; a person must act


class Signal(Enum):
    """What can happen to a table's monitor."""

    ESTABLISHED = "monitors stand and are heard"
    HEARD = "a notification arrived"
    QUIET = "nothing arrived for the inactivity timeout, and the probe says all is well"
    LOST = "the connection, a monitor or the cluster is gone"
    MISSING = "the table does not exist"
    DROPPED = "the table was dropped, and the policy is to stop"
    CLUSTER_CHANGED = "another cluster takes over"
    SNAPSHOT = "the table's rows are being read first"
    CATCH_UP = "a gap is being closed"
    WHOLE = "snapshot or catch-up is done"
    ABORT = "a record did not decode, and the policy is to stop"


_S, _G = State, Signal

# What every state that still tries has in common.
_TRYING = {
    _G.LOST: _S.DEAF,
    _G.MISSING: _S.WAITING_FOR_TABLE,
    _G.DROPPED: _S.DROPPED,
    _G.CLUSTER_CHANGED: _S.FAILING_OVER,
    _G.ABORT: _S.FAILED,
}
_LISTENING = {
    **_TRYING,
    _G.ESTABLISHED: _S.LIVE,
    _G.HEARD: _S.LIVE,
    _G.QUIET: _S.IDLE,
    _G.SNAPSHOT: _S.SNAPSHOTTING,
    _G.CATCH_UP: _S.CATCHING_UP,
}
# Frames still in the queue when a table stops being listened to change nothing.
_WAITING = {**_TRYING, _G.ESTABLISHED: _S.LIVE}

TRANSITIONS: dict[State, dict[Signal, State]] = {
    _S.CONNECTING: {**_WAITING, _G.LOST: _S.CONNECTING, _G.HEARD: _S.CONNECTING},
    _S.LIVE: _LISTENING,
    _S.IDLE: _LISTENING,
    _S.SNAPSHOTTING: {
        **_TRYING,
        _G.ESTABLISHED: _S.SNAPSHOTTING,
        _G.HEARD: _S.SNAPSHOTTING,
        _G.QUIET: _S.SNAPSHOTTING,
        _G.WHOLE: _S.LIVE,
    },
    _S.CATCHING_UP: {
        **_TRYING,
        _G.ESTABLISHED: _S.CATCHING_UP,
        _G.HEARD: _S.CATCHING_UP,
        _G.QUIET: _S.CATCHING_UP,
        _G.WHOLE: _S.LIVE,
    },
    _S.DEAF: {**_WAITING, _G.HEARD: _S.DEAF},
    _S.FAILING_OVER: {**_WAITING, _G.LOST: _S.FAILING_OVER, _G.HEARD: _S.FAILING_OVER},
    _S.WAITING_FOR_TABLE: {
        **_WAITING,
        _G.LOST: _S.CONNECTING,
        _G.HEARD: _S.WAITING_FOR_TABLE,
    },
    _S.DROPPED: dict.fromkeys(_G, _S.DROPPED),
    _S.FAILED: dict.fromkeys(_G, _S.FAILED),
}


class IllegalSignal(AssertionError):
    """A signal that the present state does not know: a fault of ours."""


def step(state: State, signal: Signal) -> State:
    """Return the state that follows.

    Raises:
        IllegalSignal: the state does not know the signal.

    >>> step(State.LIVE, Signal.QUIET)
    <State.IDLE: 'idle'>
    """
    try:
        return TRANSITIONS[state][signal]
    except KeyError:
        raise IllegalSignal(f"{signal.name} in state {state}") from None
