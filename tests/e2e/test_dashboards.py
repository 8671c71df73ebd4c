"""Each query of the dashboard and the alerts, asked of a real Prometheus beside a real bridge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from services.process import BridgeProcess
from services.prometheus import Prometheus
from services.rig import Database

from kinetica_emulator import Emulator

DEPLOY = Path(__file__).parents[2] / "deploy"
TABLE = "ki_home.orders"
# What a bridge that is well has nothing of.
EMPTY_WHEN_WELL = (
    "decode_errors_total",
    "unaccounted_rows",
    "loop_faults_total",
    "failovers_total",
)


def board() -> dict[str, object]:
    found: dict[str, object] = json.loads((DEPLOY / "grafana" / "kinetica-bridge.json").read_text())
    return found


def queries() -> list[tuple[str, str]]:
    """Return each panel's title with each of its queries, variables put in as Grafana does."""
    put = {"$job": ".*", "$instance": ".*", "$table": ".*", "$sink": ".*", "$__rate_interval": "4s"}
    found = []
    for panel in board()["panels"]:  # type: ignore[attr-defined]
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in put.items():
                text = text.replace(name, value)
            found.append((panel["title"], text))
    return found


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, prometheus_program: None
) -> Iterator[Prometheus]:
    """One that has seen a bridge at work: rows come and go, one sink is away, one table missing."""
    folder = tmp_path_factory.mktemp("dashboards")
    with Emulator() as cluster:
        database = Database(cluster)
        database.create(TABLE)
        with BridgeProcess(
            folder,
            {
                "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
                "tables": [{"name": TABLE}],
                "sinks": {
                    "audit": {"type": "file", "path": str(folder / "{table}.jsonl")},
                    "hook": {"type": "webhook", "url": "http://127.0.0.1:9/"},
                },
            },
        ) as bridge:
            bridge.wait_live()
            target = bridge.admin.removeprefix("http://")
            with Prometheus(target) as prometheus:
                for scrapes in range(2, 8):
                    database.insert_ids(range(scrapes * 100, scrapes * 100 + 50), TABLE)
                    prometheus.wait_scraped(scrapes)
                yield prometheus
        database.close()


def test_the_dashboard_asks_for_something_in_every_panel() -> None:
    """A panel has a title, and a query for each of its lines."""
    panels = [panel for panel in board()["panels"] if panel["type"] != "row"]  # type: ignore[attr-defined]
    assert len(panels) > 15
    assert all(panel["targets"] for panel in panels)


def test_each_query_of_the_dashboard_finds_data(prometheus: Prometheus) -> None:
    """Or none where all is well; never an error."""
    empty = [title for title, query in queries() if not _finds(prometheus, query)]
    assert empty == []


def _finds(prometheus: Prometheus, query: str) -> bool:
    found = prometheus.query(query)
    return bool(found) or any(name in query for name in EMPTY_WHEN_WELL)


def test_what_is_wrong_is_seen_at_a_glance(prometheus: Prometheus) -> None:
    """One sink fails, and its events wait."""
    by_title = dict(queries())
    (failing,) = prometheus.query(by_title["Sinks failing"])
    (lag,) = prometheus.query(by_title["Largest lag"])
    assert failing["value"][1] == "1"
    assert float(lag["value"][1]) > 0


def alerts() -> list[tuple[str, str]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def test_the_metrics_of_each_alert_are_there(prometheus: Prometheus) -> None:
    """An alert on a metric that does not exist never fires."""
    missing = set()
    for alert, expression in alerts():
        prometheus.query(expression)
        for name in re.findall(r"\bkinetica_bridge_\w+", expression):
            if not _finds(prometheus, name):
                missing.add(f"{alert}: {name}")
    assert missing == set()
