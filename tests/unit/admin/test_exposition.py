"""What a scrape's text is: the library's to the byte, however often it is asked."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bridge.admin.exposition import Exposition, Family

ACCEPTED = ["text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0", ""]

samples = st.dictionaries(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.text('\\"\n\r\u2028# ab', max_size=6),
    ),
    st.floats(),
    max_size=4,
)


def families(*each: dict[tuple[str, str], float]) -> list[Family | Metric]:
    """Return a gauge and a counter of each, behind one of the library's own."""
    found: list[Family | Metric] = [InfoMetricFamily("build", "What it is.", {"version": "1"})]
    for number, values in enumerate(each):
        for kind in (GaugeMetricFamily, CounterMetricFamily):
            name = f"bridge_{number}_{kind.__name__}"
            family = Family(kind, name, 'Says "what"\nit is.', ("sink", "table"))
            for labels, value in values.items():
                family.add(labels, value)
            found.append(family)
    return found


def of_library(accept: str, found: list[Family | Metric]) -> tuple[bytes, str]:
    class Given(Collector):
        def collect(self) -> list[Metric]:
            return [one if isinstance(one, Metric) else one.metric() for one in found]

    registry = CollectorRegistry()
    registry.register(Given())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


@pytest.mark.parametrize("accept", ACCEPTED)
@given(scrapes=st.lists(st.tuples(samples, samples), min_size=1, max_size=4))
def test_each_scrape_is_what_the_library_would_write(
    accept: str, scrapes: list[tuple[dict[tuple[str, str], float], ...]]
) -> None:
    """Samples come and go, labels and values are anything at all."""
    now: list[Family | Metric] = []
    exposition = Exposition(lambda: now)

    for scrape in scrapes:
        for values in (
            scrape,
            [{labels: -value for labels, value in each.items()} for each in scrape],
            [dict.fromkeys(each, 7.0) for each in scrape],
        ):
            now = families(*values)
            assert exposition.write(accept) == of_library(accept, now)


@pytest.mark.parametrize("accept", ACCEPTED)
def test_of_many_lines_those_that_changed_are_written_anew(accept: str) -> None:
    """One here, one there, none; more lines than are written in one go, and fewer again."""
    now: list[Family | Metric] = []
    exposition = Exposition(lambda: now)
    values = {("out", f"orders_{number}"): 1.0 for number in range(1700)}

    for changed in (None, 0, 499, 500, 1699, None, 1200):
        if changed is not None:
            values["out", f"orders_{changed}"] += 1.0
        for some in (values, dict(list(values.items())[:900])):
            now = families(some, values)
            assert exposition.write(accept) == of_library(accept, now)


@pytest.mark.parametrize("version", ["abc", "1.x.0", "²"])
def test_a_version_that_is_none_gets_plain_text(version: str) -> None:
    """A scraper's odd header costs it a form, and not the scrape."""
    now = families({("out", "orders"): 1.0})

    written = Exposition(lambda: now).write(f"application/openmetrics-text; version={version}")

    assert written == of_library("text/plain", now)


def test_askers_with_many_wishes_take_no_memory() -> None:
    """Lines are kept for few content types, whatever versions are asked for."""
    many = {("out", f"orders_{number}"): 1.0 for number in range(500)}
    exposition = Exposition(lambda: families(many))

    def ask(version: int) -> int:
        return len(exposition.write(f"application/openmetrics-text;version=1.{version}.0")[0])

    ask(0)
    tracemalloc.start()
    try:
        size = max(map(ask, range(1, 50)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 20 * size
