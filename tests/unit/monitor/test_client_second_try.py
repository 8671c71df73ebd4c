"""A record that did not fit its layout is tried once more with the table's present one."""

from __future__ import annotations

from bridge.errors import ClusterUnavailable
from bridge.events import Column, Schema
from bridge.monitor.second_try import SecondTry

SCHEMA = Schema("7", (Column("n", "int", "int"),))


class Server:
    """Answers with a layout, and counts how often it was asked."""

    def __init__(self) -> None:
        self.answer: Schema | Exception | None = SCHEMA
        self.asked = 0
        self.now = 100.0

    def ask(self) -> Schema | None:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def clock(self) -> float:
        return self.now


def test_what_fits_now_is_a_record_and_what_does_not_a_reason() -> None:
    """Either way the server is asked once for many records, and again after a second."""
    server = Server()
    second = SecondTry(server.ask, server.clock)

    assert second.decode(b"\x02") == {"n": 1}
    assert isinstance(second.decode(b"\x02\x02"), str)
    assert second.decode(b"\x04") == {"n": 2}
    assert server.asked == 1

    server.now += 1.0
    server.answer = Schema("8", (Column("s", "string", "string"),))
    assert second.decode(b"\x02a") == {"s": "a"}
    assert server.asked == 2


def test_without_a_layout_the_reason_says_so() -> None:
    """The table may be gone, or the cluster."""
    server = Server()
    server.answer = None
    assert (
        SecondTry(server.ask, server.clock).decode(b"\x02") == "the table does not exist any more"
    )

    server.answer = ClusterUnavailable("http://a:9191", "/show/table", "refused")
    reason = SecondTry(server.ask, server.clock).decode(b"\x02")
    assert "http://a:9191/show/table: refused" in str(reason)
