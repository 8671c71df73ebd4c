"""The one oracle: what must hold of everything delivered, whatever happened on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chaos.ledger import Layout, Ledger

# A notification may be on its way for this long before it arrives.
_TRANSIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind, once all was healed and settled.

    Attributes:
        events: of the file sink, as its lines.
        posted: of the webhook.
        present: the ids in the table.
        layouts: all that the table had.
        dead_lettered: events that the file sink did not get for a stated reason.
        closable: whether gaps can be closed by reading the table.
        heard_since: when the service listened first; what came before need not be in a gap.
        arrives_by: a moment by which what was inserted had reached the cluster in use; None
            where it is inserted there.
    """

    events: Sequence[Mapping[str, Any]]
    posted: Sequence[Mapping[str, Any]]
    present: Collection[int]
    layouts: set[Layout]
    dead_lettered: int
    closable: bool
    heard_since: float
    arrives_by: float | None = None


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

    Two clusters of a ring each publish a row, so it may be inserted once on each.
    """
    wrong = []
    inserted: Counter[tuple[int, str]] = Counter()
    delivered: dict[int, Mapping[str, Any]] = {}
    for event in {event["id"]: event for event in outcome.events}.values():
        if event["type"] not in ("insert", "read"):
            continue
        id_ = event["record"]["id"]
        row = ledger.rows.get(id_)
        if event["type"] == "insert":
            inserted[id_, event["cluster"]] += 1
            if inserted[id_, event["cluster"]] > 1:
                wrong.append(f"row {id_} inserted twice on {event['cluster']}")
        elif id_ in delivered and row is not None and not row.touched:
            wrong.append(f"row {id_} read again: {delivered[id_]}, then {event}")
        delivered.setdefault(id_, event)
    return wrong


def _missing_rows(ledger: Ledger, outcome: Outcome) -> list[str]:
    delivered = {
        event["record"]["id"] for event in outcome.events if event["type"] in ("insert", "read")
    }
    gaps = [event for event in outcome.events if event["type"] == "gap"]
    wrong = []
    if outcome.closable and (lost := sorted(set(outcome.present) - delivered)):
        wrong.append(f"{len(lost)} rows of the table never delivered: {_some(lost)}")
    for id_, row in ledger.rows.items():
        if row.accepted and row.ended > outcome.heard_since and id_ not in delivered:
            until = (outcome.arrives_by or row.ended) + _TRANSIT_SECONDS
            if not any(_covers(gap, row.began, until) for gap in gaps):
                wrong.append(f"row {id_} neither delivered nor in a gap: {row}")
    return wrong


def _covers(gap: Mapping[str, Any], began: float, ended: float) -> bool:
    since, until = (datetime.fromisoformat(gap[name]).timestamp() for name in ("since", "until"))
    return since <= ended and began <= until


def _wrong_gaps(outcome: Outcome) -> list[str]:
    stages: dict[str, list[bool]] = {}
    for event in {event["id"]: event for event in outcome.events}.values():
        if event["type"] == "gap":
            stages.setdefault(event["gap"], []).append(event["closed"])
    right = [False, True] if outcome.closable else [False]
    return [f"gap {gap} went {closed}" for gap, closed in stages.items() if closed != right]


def _some(values: Collection[Any]) -> str:
    shown = sorted(values)
    return str(shown[:10])[:-1] + (", …]" if len(shown) > 10 else "]")
