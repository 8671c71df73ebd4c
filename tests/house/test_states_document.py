"""The page of a table's states is what the table of transitions gives."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bridge.delivery import worker
from bridge.monitor.states import TRANSITIONS, Signal, State

ENDS = (State.DROPPED, State.FAILED)
TRYING = [state for state in State if state not in ENDS]


def common() -> dict[Signal, State]:
    """What a signal leads to wherever a table still tries, for the signals of which that holds."""
    targets = {signal: {TRANSITIONS[state].get(signal) for state in TRYING} for signal in Signal}
    return {
        signal: found.pop()
        for signal, found in targets.items()
        if len(found) == 1 and None not in found
    }  # type: ignore[misc]


def make_diagram() -> str:
    """Draw each change of state that is not the same from everywhere."""
    edges: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state in TRYING:
        for signal, target in TRANSITIONS[state].items():
            if target is not state and signal not in common():
                edges[state, target].append(signal.name)
    lines = [f"    {a} --> {b} : {', '.join(names)}" for (a, b), names in edges.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> connecting", *lines])


def make_common_table() -> str:
    """List the changes that are the same wherever a table still tries."""
    rows = [f"| {signal.name} | {signal.value} | `{to}` |" for signal, to in common().items()]
    return "\n".join(["| signal | means | leads to |", "|---|---|---|", *rows])


def make_signal_table() -> str:
    """List the other signals, and what each leads to from every state that knows it."""
    rows = []
    for signal in Signal:
        if signal in common():
            continue
        targets: dict[State, list[State]] = defaultdict(list)
        for state in TRYING:
            if signal in TRANSITIONS[state]:
                targets[TRANSITIONS[state][signal]].append(state)
        cell = "; ".join(
            f"`{to}` from {', '.join(f'`{state}`' for state in states)}"
            for to, states in targets.items()
        )
        rows.append(f"| {signal.name} | {signal.value} | {cell} |")
    return "\n".join(["| signal | means | leads to |", "|---|---|---|", *rows])


@pytest.mark.parametrize("make", [make_diagram, make_common_table, make_signal_table])
def test_the_page_shows_the_table_of_transitions(make, documents: dict[str, str]) -> None:
    """Diagram and tables are generated: where this fails, put in what it prints."""
    wanted = make()

    assert wanted in documents["docs/states.md"], f"docs/states.md lacks:\n\n{wanted}\n"


def test_every_state_is_explained(documents: dict[str, str]) -> None:
    """Each has a row of its own, and no row is of a state that is none."""
    page = documents["docs/states.md"].partition("## What each means")[2].partition("\n## ")[0]

    explained = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]

    assert explained == [str(state) for state in State]


def test_the_ends_are_as_the_page_says() -> None:
    """The page says that no signal leads out of dropped and failed."""
    assert all(set(TRANSITIONS[end].values()) == {end} for end in ENDS)


def test_every_state_of_a_sink_is_explained(documents: dict[str, str]) -> None:
    """Those of trouble, what a person asks for, and the two of a sink that is well or not open."""
    page = documents["docs/states.md"].partition("## What a sink goes through")[2]
    shown = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]

    assert sorted(shown) == sorted({*worker._STATES.values(), "connecting", "delivering", "paused"})
