"""The one oracle: what must hold of everything delivered, whatever happened on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chaos.ledger import Layout, Ledger
from chaos.variants import Variant


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind, once all was healed and settled.

    Attributes:
        events: of the file sink, as its lines.
        posted: of the webhook.
        present: the ids in the table.
        layouts: all that the table had.
        dead_lettered: events that the file sink did not get for a stated reason.
        variant: what the table was.
        heard_since: when the service listened first; what came before need not be in a gap.
        transit: how long a notification may have been on its way, seconds.
        drops: when the table was dropped, or may have been; seconds since the epoch.
        alike: how many of these nobody could see but by the table's identity.
        lost: whether notifications were lost that nobody could miss.
        ring: whether there was another cluster.
        arrives_by: a moment by which what was inserted had reached the cluster in use; None
            where it is inserted there.
        times: when the service's clock may have shown a time; seconds since the epoch.
    """

    events: Sequence[Mapping[str, Any]]
    posted: Sequence[Mapping[str, Any]]
    present: Collection[int]
    layouts: set[Layout]
    dead_lettered: int
    variant: Variant
    heard_since: float
    transit: float = 1.0
    drops: Sequence[float] = ()
    alike: int = 0
    lost: bool = False
    ring: bool = False
    arrives_by: float | None = None
    times: Callable[[float], Sequence[float]] = lambda told: [told]

    def said_at(self, event: Mapping[str, Any], name: str = "time") -> Sequence[float]:
        """Return when a time in an event may have been."""
        return self.times(datetime.fromisoformat(event[name]).timestamp())

    @property
    def stored(self) -> list[Mapping[str, Any]]:
        """The events of the file, each once, in the order of the journal."""
        by_id = {event["id"]: event for event in self.events}
        return sorted(by_id.values(), key=lambda event: int(event["offset"]))


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file, none of whose lines is torn."""
    text = path.read_text() if path.exists() else ""
    assert text.endswith("\n") or not text, f"a torn last line: {text[-200:]!r}"
    return [json.loads(line) for line in text.splitlines()]


def violations(ledger: Ledger, outcome: Outcome) -> list[str]:
    """Return what does not hold; nothing is as it should be."""
    return [
        *_wrong_ids(outcome),
        *_wrong_rows(ledger, outcome),
        *_doubled_rows(ledger, outcome),
        *_missing_rows(ledger, outcome),
        *_wrong_gaps(outcome),
        *_false_closures(ledger, outcome),
        *_rows_thought_known(ledger, outcome),
        *_wrong_drops(outcome),
    ]


def _wrong_ids(outcome: Outcome) -> list[str]:
    by_id: dict[str, Mapping[str, Any]] = {}
    wrong = [
        f"one id, two events: {event} and {by_id[event['id']]}"
        for event in (*outcome.events, *outcome.posted)
        if by_id.setdefault(event["id"], event) != event
    ]
    filed = {event["id"] for event in outcome.events}
    posted = {event["id"] for event in outcome.posted}
    if filed != posted:
        wrong.append(f"file and webhook differ in {_some(filed ^ posted)}")
    offsets = {event["offset"] for event in outcome.events}
    holes = set(range(max(offsets, default=-1) + 1)) - offsets
    if len(holes) > outcome.dead_lettered:
        wrong.append(f"{len(holes)} holes in the offsets: {_some(holes)}")
    return wrong


def _wrong_rows(ledger: Ledger, outcome: Outcome) -> list[str]:
    return [
        fault
        for event in outcome.events
        if event["type"] in ("insert", "read")
        for fault in ledger.faults(event, outcome.layouts)
    ]


def _doubled_rows(ledger: Ledger, outcome: Outcome) -> list[str]:
    """Look for rows delivered twice that did not change in between.

    Two clusters of a ring each publish a row, so it may be inserted once on each. Where whole
    tables are compared, a row known only from before a counted delete comes again. After a drop
    all rows that are there come, those too that were heard before it was told.
    """
    wrong = []
    inserted: Counter[tuple[int, str]] = Counter()
    delivered: dict[int, Mapping[str, Any]] = {}
    doubtful_before = -1
    for event in outcome.stored:
        if event["type"] == "drop" or (event["type"] == "delete" and outcome.variant.whole):
            doubtful_before = event["offset"]
        if event["type"] not in ("insert", "read"):
            continue
        id_ = event["record"]["id"]
        row = ledger.rows.get(id_)
        if event["type"] == "insert":
            inserted[id_, event["cluster"]] += 1
            if inserted[id_, event["cluster"]] > 1 + (row.again if row is not None else 0):
                wrong.append(f"row {id_} inserted twice on {event['cluster']}")
        elif (
            id_ in delivered
            and row is not None
            and not row.touched
            and delivered[id_]["offset"] > doubtful_before
        ):
            wrong.append(f"row {id_} read again: {delivered[id_]}, then {event}")
        delivered[id_] = event
    return wrong


def _missing_rows(ledger: Ledger, outcome: Outcome) -> list[str]:
    delivered = {
        event["record"]["id"] for event in outcome.events if event["type"] in ("insert", "read")
    }
    gaps = [event for event in outcome.events if event["type"] == "gap"]
    wrong = []
    after_drop: set[int] = set()
    for event in outcome.stored:
        if event["type"] == "drop":
            after_drop.clear()
        elif event["type"] in ("insert", "read"):
            after_drop.add(event["record"]["id"])
    lost = [
        id_
        for id_ in sorted(set(outcome.present) - after_drop)
        if _is_due(ledger.rows[id_].ended > outcome.heard_since, outcome.variant)
    ]
    if lost:
        wrong.append(
            f"{len(lost)} rows of the table not delivered, since it was dropped: {_some(lost)}"
        )
    for id_, row in ledger.rows.items():
        if row.accepted and row.ended > outcome.heard_since and id_ not in delivered:
            until = (outcome.arrives_by or row.ended) + outcome.transit
            if not any(_covers(outcome, gap, row.began, until) for gap in gaps):
                wrong.append(f"row {id_} neither delivered nor in a gap: {row}")
    return wrong


def _is_due(came_while_heard: bool, variant: Variant) -> bool:
    return variant.closable if came_while_heard else variant.snapshot


def _covers(outcome: Outcome, gap: Mapping[str, Any], began: float, ended: float) -> bool:
    times = [*outcome.said_at(gap, "since"), *outcome.said_at(gap, "until")]
    return min(times) <= ended and began <= max(times)


def _wrong_gaps(outcome: Outcome) -> list[str]:
    stages: dict[str, list[Mapping[str, Any]]] = {}
    wrong = []
    for event in outcome.stored:
        if event["type"] == "gap":
            stages.setdefault(event["gap"], []).append(event)
            if event["reason"] == "unaccounted" and not outcome.lost:
                wrong.append(f"nothing was lost, and yet: {event}")
    for gap, told in stages.items():
        closed = [event["closed"] for event in told]
        quiet = told[-1].get("by") == "quiet"
        must_close, may_close = outcome.variant.closable, quiet or outcome.variant.may_close
        if closed not in (
            [[False]] * (not must_close) + [[False, True]] * (must_close or may_close)
        ):
            wrong.append(f"gap {gap} went {closed}")
    return wrong


def _false_closures(ledger: Ledger, outcome: Outcome) -> list[str]:
    """Look for gaps said to be closed before a row that fell into them was delivered.

    A row of a ring reaches the cluster in use at an unknown time, maybe after the read.
    """
    if outcome.ring:
        return []
    delivered: dict[int, int] = {}
    for event in outcome.stored:
        if event["type"] in ("insert", "read"):
            delivered.setdefault(event["record"]["id"], event["offset"])
    present, wrong = set(outcome.present), []
    for gap in outcome.stored:
        if gap["type"] != "gap" or not gap["closed"]:
            continue
        since, until = max(outcome.said_at(gap, "since")), min(outcome.said_at(gap, "until"))
        inside = {
            id_
            for id_, row in ledger.rows.items()
            if row.accepted and since < row.began and row.ended < until
        }
        late = {
            id_
            for id_ in inside & present
            if not (ledger.rows[id_].again or ledger.rows[id_].lies)
            and ledger.rows[id_].began > outcome.heard_since
            and delivered.get(id_, gap["offset"]) >= gap["offset"]
        }
        if late:
            wrong.append(f"closed before rows {_some(late)} came: {gap}")
        if gap["by"] == "quiet" and inside:
            wrong.append(f"called quiet, when rows {_some(inside)} came: {gap}")
    return wrong


def _rows_thought_known(ledger: Ledger, outcome: Outcome) -> list[str]:
    """Look for rows that were deleted and inserted again, and of which only the first came.

    Where both may have happened within one span nobody can tell, as the documentation says.
    """
    keyed = outcome.variant.whole and outcome.variant.key
    if not keyed or outcome.lost or outcome.ring:
        return []
    last: dict[int, float] = {}
    spans: dict[str, Mapping[str, Any]] = {}
    for event in outcome.stored:
        if event["type"] in ("insert", "read"):
            last[event["record"]["id"]] = max(outcome.said_at(event))
        elif event["type"] == "gap":
            spans[event["gap"]] = event

    def open_when_inserted(gap: Mapping[str, Any], again: float) -> bool:
        return not gap["closed"] or max(outcome.said_at(gap)) >= again

    wrong = []
    for id_ in outcome.present:
        lives = ledger.rows[id_].lives
        if lives is None or last.get(id_, 0.0) >= lives[0]:
            continue
        deleted, again = lives
        if not any(
            _covers(outcome, gap, deleted, deleted + outcome.transit)
            and open_when_inserted(gap, again)
            for gap in spans.values()
        ):
            wrong.append(f"row {id_} did not come again: {ledger.rows[id_]}")
    return wrong


def _wrong_drops(outcome: Outcome) -> list[str]:
    told = [event for event in outcome.stored if event["type"] == "drop"]
    wrong = [
        f"dropped, it says, and was not: {event}"
        for number, event in enumerate(told, 1)
        if sum(at <= max(outcome.said_at(event)) for at in outcome.drops) < number
    ]
    if outcome.alike and not told:
        wrong.append(f"made again {outcome.alike} times, and no drop was told")
    return wrong


def _some(values: Collection[Any]) -> str:
    shown = sorted(values)
    return str(shown[:10])[:-1] + (", …]" if len(shown) > 10 else "]")
