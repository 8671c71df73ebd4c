"""The page of metrics is what a scrape of the running service has."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from services.rig import Database, Rig

from bridge.admin.server import AdminServer
from kinetica_emulator import Emulator

ROW = re.compile(
    r"^\| `(kinetica_bridge_\w+)(?:\{([\w,]+)\})?` \| (gauge|counter|histogram) \| .+ \|$",
    re.MULTILINE,
)
# What Prometheus knows a histogram's samples by, and what a query may put at a metric's end.
SUFFIXES = r"_(?:bucket|sum|count)$"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of a service with a table, a sink and a ring."""
    with Emulator() as emulator:
        database = Database(emulator)
        database.create()
        database.close()
        # The second cluster is not there: the ring alone gives the failovers their labels.
        with Rig(tmp_path_factory.mktemp("service"), [emulator.url, "http://127.0.0.1:1"]) as rig:
            rig.wait_live()
            assert rig.supervisor is not None
            admin = AdminServer(rig.supervisor, "127.0.0.1", 0)
            admin.start()
            try:
                return {page: _get(f"{admin.url}/{page}") for page in ("metrics", "readyz")}
            finally:
                admin.stop()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return str(reply.read().decode())


@pytest.fixture(scope="module")
def scraped(pages: dict[str, str]) -> dict[str, tuple[str, set[str]]]:
    """Each metric: its kind and its labels."""
    found = {}
    for family in text_string_to_metric_families(pages["metrics"]):
        if family.name.startswith("kinetica_bridge_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = family.type, labels
    return found


def test_every_metric_stands_there_with_its_labels(
    scraped: dict[str, tuple[str, set[str]]], documents: dict[str, str]
) -> None:
    """Name, kind and labels, neither more nor less than a scrape shows."""
    rows = ROW.findall(documents["docs/metrics.md"])
    shown = {name: (kind, set(filter(None, labels.split(",")))) for name, labels, kind in rows}

    assert shown == scraped


def test_no_document_names_a_metric_that_there_is_not(
    scraped: dict[str, tuple[str, set[str]]], documents: dict[str, str]
) -> None:
    """Queries and prose included, and the alerts."""
    texts = {
        **documents,
        "deploy/alerts.yml": (Path(__file__).parents[2] / "deploy/alerts.yml").read_text(),
    }
    unknown = set()
    for name, text in texts.items():
        for metric in re.findall(r"\bkinetica_bridge_\w+", text):
            histogram = re.sub(SUFFIXES, "", metric)
            if metric not in scraped and histogram not in scraped:
                unknown.add(f"{name}: {metric}")

    assert unknown == set()


def test_the_page_shows_what_readyz_says(pages: dict[str, str], documents: dict[str, str]) -> None:
    """With the same members at every place; a gap's are those that the page is made with."""

    (example,) = re.findall(r"```json\n(.*?)```", documents["docs/metrics.md"], re.DOTALL)
    shown, real = json.loads(example), json.loads(pages["readyz"])
    (gap,) = shown["gaps"]
    source = (Path(__file__).parents[2] / "bridge/admin/health.py").read_text()

    assert list(shown) == list(real)
    for part in ("tables", "sinks"):
        (one,), (other,) = shown[part].values(), real[part].values()
        assert list(one) == list(other)
    assert list(gap) == re.findall(r'"(\w+)": (?:rfc3339\()?gap\.', source)
