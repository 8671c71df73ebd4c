"""What is looked at once a second, and what must hold of it: the account, and no growth.

Growth is looked for in the second half, when all that is ever kept was kept once: the medians of
its first and its last quarter are compared. A quarter is longer than a round of troubles.
"""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import Metrics

# What a median may be above the earlier one: a share of it, and so much besides.
_SHARE = 0.05
_BESIDES = {"memory, MiB": 4.0, "descriptors": 3.0, "threads": 1.0}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_PREFIX = "kinetica_bridge_"
_PARTS = ("delivered", "dead_lettered", "discarded")


@dataclass(frozen=True, slots=True)
class Look:
    """One second.

    Attributes:
        figures: name to what it was.
        pending: events that were not settled, by sink.
        wrong: accounts that did not add up.
    """

    figures: Mapping[str, float]
    pending: Mapping[str, float]
    wrong: Sequence[str]


def look(pid: int, metrics: Metrics) -> Look:
    """Hold a scrape to its account, and ask the kernel what a process has."""
    process = Path(f"/proc/{pid}")
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    figures = {
        "memory, MiB": resident / 2**20,
        "descriptors": float(len(list((process / "fd").iterdir()))),
        "threads": float(len(list((process / "task").iterdir()))),
        "journal, MiB": metrics[f"{_PREFIX}journal_bytes", ()] / 2**20,
    }
    pending: dict[str, float] = {}
    wrong = []
    for (name, labels), waiting in metrics.items():
        if name != f"{_PREFIX}sink_pending_events":
            continue
        sink = dict(labels)["sink"]
        pending[sink] = pending.get(sink, 0.0) + waiting

        def part(which: str, lane: tuple[tuple[str, str], ...] = labels) -> float:
            return metrics[f"{_PREFIX}sink_{which}_events_total", lane]

        received, parts = part("received"), {which: part(which) for which in _PARTS}
        if received != sum(parts.values()) + waiting or parts["discarded"]:
            wrong.append(f"{dict(labels)}: received {received:,.0f}, {parts}, pending {waiting}")
    return Look(figures, pending, wrong)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a figure went on.

    Attributes:
        name: of the figure.
        series: what it was, a value a look.
        earlier: median of the first quarter of the second half.
        later: median of its last quarter.
    """

    name: str
    series: Sequence[float]
    earlier: float
    later: float

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow; what nothing is said of may do as it likes."""
        besides = _BESIDES.get(self.name, float("inf"))
        return self.later <= self.earlier * (1 + _SHARE) + besides

    @property
    def most(self) -> float:
        return max(self.series)

    def __str__(self) -> str:
        said = "" if self.name not in _BESIDES else ", flat" if self.is_flat else ", GROWS"
        return (
            f"{self.name:<13} {sparkline(self.series)}  {min(self.series):.0f} to "
            f"{self.most:.0f}, medians {self.earlier:.1f} and {self.later:.1f}{said}"
        )


def growths(looks: Sequence[Look]) -> list[Growth]:
    """Say how each figure went on over four looks or more."""
    half = len(looks) // 2
    quarter = max((len(looks) - half) // 4, 1)
    found = []
    for name in looks[0].figures:
        series = [each.figures[name] for each in looks]
        earlier = statistics.median(series[half : half + quarter])
        found.append(Growth(name, series, earlier, statistics.median(series[-quarter:])))
    return found


def sparkline(series: Sequence[float]) -> str:
    """Draw a series in a line of text, from nothing up to its most.

    >>> sparkline([0.0, 1.0, 2.0, 7.0])
    '▁▂▃█'
    """
    width = min(_WIDTH, len(series))
    most = max(series) or 1.0
    bounds = [len(series) * step // width for step in range(width + 1)]
    shown = [statistics.median(series[a:b]) for a, b in itertools.pairwise(bounds)]
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in shown)
