"""The results as one Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.compare.measure import Result
from benchmarks.compare.scenarios import Scenario

_TITLES = (
    "trouble",
    "who",
    "published",
    "received",
    "lost",
    "doubled",
    "wrong",
    "noticed after",
    "hears again after",
    "whole after",
)


def markdown(done: Sequence[tuple[Scenario, Sequence[Result]]]) -> str:
    """Lay out the results, and what there is to remark beneath."""
    lines = [_line(_TITLES), "|---|---|" + "---:|" * (len(_TITLES) - 2)]
    remarks = []
    for scenario, results in done:
        title = scenario.title
        for result in results:
            lines.append(_line((title, *_cells(result))))
            if result.remark:
                remarks.append(_line((scenario.title, result.contender, result.remark)))
            title = ""
    if remarks:
        lines += ["", _line(("trouble", "who", "besides")), "|---|---|---|", *remarks]
    return "\n".join(lines)


def _cells(result: Result) -> tuple[str, ...]:
    lost = f"{result.lost:,}"
    if result.lost and result.lost != result.lost_of_table:
        lost += f" ({result.lost_of_table:,} of the table)"
    return (
        result.contender,
        f"{result.published:,}",
        f"{result.received:,}",
        lost,
        f"{result.duplicated:,}",
        f"{result.wrong:,}",
        # Where nothing was amiss there was nothing to notice.
        "-" if result.noticed is None and result.is_good else _seconds(result.noticed),
        _seconds(result.hears),
        _seconds(result.whole),
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
