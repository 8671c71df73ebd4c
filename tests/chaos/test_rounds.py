"""`make chaos` goes on where it was, and stops at the first claim that does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from chaos import rounds
from chaos.round import Found, Round


class Told(rounds.Rounds):
    """Rounds that find what they are told to."""

    def __init__(self, folder: Path, wrong: Mapping[int, Sequence[str]]) -> None:
        super().__init__(folder)
        self.carried_out: list[int] = []
        self._wrong = wrong

    def carry_out(self, seed: int) -> Found:
        self.carried_out.append(seed)
        (self.folder / str(seed)).mkdir(parents=True, exist_ok=True)
        (self.folder / f"{seed}.log").write_text("its output")
        return Found(1, 70, self._wrong.get(seed, []), 1.0)


def test_a_call_goes_on_after_what_passed(tmp_path: Path) -> None:
    """And leaves nothing of it but its line."""
    first, second = Told(tmp_path, {}), Told(tmp_path, {})

    assert rounds.carry_on(first, count=3) == 0
    assert rounds.carry_on(second, count=2) == 0

    assert (first.carried_out, second.carried_out) == ([1, 2, 3], [4, 5])
    assert [path.name for path in tmp_path.iterdir()] == ["passed"]


def test_the_first_false_claim_ends_it_and_comes_first_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it left behind is kept, and the command that repeats it is told."""
    assert rounds.carry_on(Told(tmp_path, {2: ["lost"]}), count=3) == 1
    out = capsys.readouterr().out
    assert "FALSE" in out
    assert "its output" in out
    assert "make chaos SEED=2" in out
    assert (tmp_path / "2.log").exists()

    again = Told(tmp_path, {})
    assert rounds.carry_on(again, count=1) == 0
    assert again.carried_out == [2]


def test_one_seed_is_repeated_and_not_remembered(tmp_path: Path) -> None:
    """Whatever has passed."""
    told = Told(tmp_path, {})
    assert rounds.repeat(told, 7) == 0
    assert (told.carried_out, told.next) == ([7], 1)


def test_a_number_is_always_the_same_round() -> None:
    """Kinds come in turn, so that fifty rounds have them all."""
    assert [Round.of(n) for n in range(50)] == [Round.of(n) for n in range(50)]
    kinds = {str(Round.of(n)) for n in range(50)}
    assert {"key, killed", "snapshot, ring of 2", "neither, ring of 1", "column, tight"} <= kinds
    assert Round.of(3).plan == Round.of(3).plan


def test_a_round_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    """A process that leaves no result is no round that passed."""
    real = rounds.Rounds(tmp_path, program=("-c", "import sys; sys.exit('no room')"))
    assert real.carry_out(1).wrong == ["ended by itself with 1"]
    assert real.tail(1) == "no room"
