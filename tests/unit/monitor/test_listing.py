"""Schemas are listed one by one: what is wrong with one is its own."""

from __future__ import annotations

from typing import cast

import pytest
from structlog.testing import capture_logs

from bridge.errors import BridgeError, ClusterUnavailable, ReplyNotUnderstood, RequestRefused
from bridge.monitor.listing import Listing
from bridge.wire.calls import Cluster


class Names:
    """A cluster that lists what it is told to."""

    def __init__(self, **answers: frozenset[str] | BridgeError) -> None:
        self.answers = answers

    def names(self, schema: str, _: float) -> frozenset[str]:
        answer = self.answers[schema]
        if isinstance(answer, BridgeError):
            raise answer
        return answer

    def ask(self, listing: Listing) -> None:
        listing.ask(cast("Cluster", self))


@pytest.mark.parametrize("error", [RequestRefused, ReplyNotUnderstood])
def test_a_schema_that_is_not_listed_harms_no_other(error: type[BridgeError]) -> None:
    """It counts as asked for, and is logged once until it is listed again."""
    found: list[tuple[str, frozenset[str]]] = []
    listing = Listing(lambda schema, names: found.append((schema, names)), 1.0)
    listing.schemas = ["bad", "good"]
    assert not listing.asked
    cluster = Names(bad=error("http://a", "/show/table", "no"), good=frozenset({"good.t"}))
    with capture_logs() as logs:
        cluster.ask(listing)
        cluster.ask(listing)
        cluster.answers["bad"] = frozenset()
        cluster.ask(listing)
        cluster.answers["bad"] = error("http://a", "/show/table", "no")
        cluster.ask(listing)

    assert listing.asked
    assert found.count(("good", frozenset({"good.t"}))) == 4
    assert [line["event"] for line in logs] == ["schema_refused"] * 2


def test_a_cluster_that_does_not_answer_is_the_watchs_to_deal_with() -> None:
    """Nothing was asked for then."""
    listing = Listing(lambda *_: None, 1.0)
    listing.schemas = ["one"]
    with pytest.raises(ClusterUnavailable):
        Names(one=ClusterUnavailable("http://a", "/show/table", "hangs")).ask(listing)
    assert not listing.asked
