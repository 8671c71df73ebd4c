"""One trouble of `make compare`, played with our own contenders."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks is no installed package

from benchmarks.compare.__main__ import play
from benchmarks.compare.report import markdown
from benchmarks.compare.scenarios import SCENARIOS
from benchmarks.compare.stage import OURS, SERVICE


def test_cleared_monitors_cost_the_client_rows_and_the_service_none(tmp_path: Path) -> None:
    """Both notice and hear again; the service reads what was missed; the report says so."""
    (cleared,) = (scenario for scenario in SCENARIOS if scenario.name == "monitor-cleared")
    scenario = replace(cleared, settings=replace(cleared.settings, contenders=(OURS, SERVICE)))

    client, service = play(scenario, tmp_path / "cleared", 30.0)

    assert client.published == service.published > 500
    assert 0 < client.lost < client.published
    assert client.hears is not None
    assert client.noticed is not None
    assert (service.lost, service.wrong, service.duplicated) == (0, 0, 0)
    assert service.whole is not None
    report = markdown([(scenario, [client, service])])
    assert f"| {SERVICE} | {service.published:,} | {service.published:,} | 0 |" in report
