"""Damage that several readers report: each span once, and never less than any of them says."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from bridge.journal.noted_damage import NotedDamage
from bridge.journal.records import Damage


def spans(noted: NotedDamage) -> list[tuple[int, int]]:
    return [(damage.first, damage.last) for damage in noted.spans()]


def test_a_piece_of_what_is_known_is_said_and_not_counted(tmp_path: Path) -> None:
    """It says where in a segment that is not whole the damage is."""
    noted = NotedDamage(tmp_path, [Damage(0, 99, "not whole")])

    with capture_logs() as logs:
        for _ in range(2):
            noted.note(Damage(20, 39, "a bad page"))

    assert (len(noted), spans(noted)) == (1, [(0, 99)])
    assert [(line["first"], line["last"]) for line in logs] == [(20, 39)]


def test_a_span_that_began_earlier_than_was_thought_counts(tmp_path: Path) -> None:
    """The first reader came to its middle, as its sink had what was before."""
    noted = NotedDamage(tmp_path)

    with capture_logs():
        noted.note(Damage(30, 39, "a bad page"))
        noted.note(Damage(20, 39, "a bad page"))

    assert spans(noted) == [(20, 39), (30, 39)]
