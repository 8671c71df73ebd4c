"""The age of what waits: told at every scrape, with a thousand lanes too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from services.delivery import TIME, block

from bridge.delivery.health import SinkStats
from bridge.journal import Journal
from bridge.supervisor.snapshot import lags


class Counted:
    """A journal that counts what it is asked."""

    def __init__(self, real: Journal) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._real, name)


def test_the_journal_is_asked_once_however_many_lanes_wait(tmp_path: Path) -> None:
    """A scrape of many lanes whose worker has not come to them costs no look-up for each."""
    tables = [f"ki_home.t{n}" for n in range(50)]
    journal = Journal(tmp_path / "j")
    journal.open()
    journal.register("s", tables)
    journal.append([block([1], table) for table in tables])
    counted: Any = Counted(journal)
    stats = SinkStats("retrying", "away", {}, {tables[0]: TIME + 7_000_000}, 0, 0, 0.0)

    found = lags(counted, {"s": stats}, journal.accounts(), TIME / 1e6 + 10)
    journal.close()

    assert found == {("s", table): 3.0 if table == tables[0] else 10.0 for table in tables}
    assert counted.calls == {"lanes": 1, "reader": 1}
