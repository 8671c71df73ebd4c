"""The ledger: whatever is settled in whatever order, the cursor moves over the settled prefix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.ledger import Ledger
from bridge.events import Event
from bridge.journal import Settled


def event(offset: int, table: str = "t") -> Event:
    return Event(offset, f"id-{offset}", "insert", table, 0, None, b"{}")


def spread(runs: list[Settled]) -> list[tuple[int, str, str]]:
    """Give offset, table and verdict of every event of some runs."""
    return [
        (offset, run.table, run.verdict)
        for run in runs
        for offset in range(run.offset, run.offset + run.count)
    ]


def test_a_batch_delivered_whole_is_one_run() -> None:
    """Its cursor stands behind the last event, and nothing is left in hand."""
    ledger = Ledger("s")
    events = [event(offset) for offset in range(5, 1005)]
    ledger.add(events)

    ledger.deliver(events)
    prefix = ledger.pop_prefix()

    assert prefix is not None
    assert (prefix.to, prefix.settled) == (1005, [Settled("t", 5, 1000, "delivered")])
    assert (len(ledger), ledger.first, ledger.pop_prefix()) == (0, None, None)


def test_nothing_delivered_settles_nothing() -> None:
    """Neither before there are events nor after."""
    ledger = Ledger("s")
    ledger.deliver([])
    assert ledger.pop_prefix() is None

    ledger.add([event(0)])
    ledger.deliver([])

    assert ledger.pop_prefix() is None
    assert ledger.first == event(0)


@given(
    steps=st.lists(st.tuples(st.integers(1, 3), st.sampled_from("ab")), min_size=1, max_size=30),
    data=st.data(),
)
def test_the_runs_tell_every_event_once_with_its_verdict(
    steps: list[tuple[int, str]], data: st.DataObject
) -> None:
    """For any tables, holes, pieces and verdicts, in any order of settling."""
    events, offset = [], 0
    for step, table in steps:
        offset += step
        events.append(event(offset, table))
    ledger = Ledger("s")
    ledger.add(events)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)), max_size=5)) | {len(events)})
    pieces = [events[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
    poison = data.draw(st.sets(st.sampled_from([e.offset for e in events])))
    told: list[tuple[int, str, str]] = []
    letters: list[int] = []
    settled: set[int] = set()

    for piece in data.draw(st.permutations(pieces)):
        ledger.deliver([e for e in piece if e.offset not in poison])
        for e in piece:
            if e.offset in poison:
                ledger.set_aside(e, "poison")
        settled |= {e.offset for e in piece}
        prefix = ledger.pop_prefix()
        if prefix is not None:
            told += spread(prefix.settled)
            letters += [letter.offset for letter in prefix.dead_letters]
            assert told[-1][0] == prefix.to - 1
        first = next((e for e in events if e.offset not in settled), None)
        assert ledger.first == first

    verdicts = {True: "dead_lettered", False: "delivered"}
    assert told == [(e.offset, e.table, verdicts[e.offset in poison]) for e in events]
    assert letters == sorted(poison)
