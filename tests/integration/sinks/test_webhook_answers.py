"""The table of answers, row by row: the real engine, the real sink, a real HTTP server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from services.delivery import OTHER, TABLE, Engine
from services.process import wait_until
from services.webhook import Answer, Request, WebhookReceiver

from bridge.sinks.webhook import WebhookSettings, WebhookSink

ABOUT_THE_BODY = [400, 413, 415, 422, 207]
NOT_ABOUT_THE_EVENTS = [
    *(300, 301, 302, 303, 304, 307, 308),
    *(401, 402, 403, 404, 407, 408, 421, 423, 425, 426, 428, 429, 431, 451, 502, 503, 504),
]
UNNAMED = [500, 405, 406, 409, 411, 412, 414, 417, 418, 501, 505, 511, 599, 600, 999]


class Rig:
    """An engine whose one sink posts to a receiver, with short waits and three attempts."""

    def __init__(self, folder: Path, receiver: WebhookReceiver) -> None:
        self.engine = Engine(folder / "j", (TABLE, OTHER))
        self.receiver = receiver

    def configure(self, **values: Any) -> None:
        """Give the sink a configuration: the first, or that of a reload."""
        given = {
            "type": "webhook",
            "url": self.receiver.url,
            "retry": {"initial_backoff": "1ms", "max_backoff": "5ms", "max_attempts": 3},
            "batch": {"max_events": 8, "max_wait": "1ms"},
            "secret": "not asked for",
        }
        settings = WebhookSettings.model_validate(given | values)
        engine = self.engine
        engine.worker.configure(WebhookSink(settings), settings, engine.tables, engine.output)
        engine.worker.start()

    def batches(self) -> list[tuple[str, bytes]]:
        """Return the identities and bodies of all requests so far."""
        return [(str(each.headers["webhook-id"]), each.body) for each in self.receiver.requests]

    def numbers(self, table: str = TABLE) -> list[int]:
        """Return the rows of a table that were answered with 2xx, in order."""
        return [e["record"]["n"] for e in self.receiver.accepted if e["table"] == table]


@pytest.fixture
def rig(tmp_path: Path, webhook_receiver: WebhookReceiver) -> Iterator[Rig]:
    rig = Rig(tmp_path, webhook_receiver)
    with rig.engine:
        yield rig


def refusing(number: int, status: int) -> Callable[[Request], Answer]:
    """Answer with a status where a certain row of the one table is."""

    def answer(request: Request) -> Answer:
        rows = [(e["table"], e["record"]["n"]) for e in request.events]
        return Answer(status, body=b"no such order") if (TABLE, number) in rows else Answer()

    return answer


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 206, 226, 299])
def test_2xx_is_delivered(rig: Rig, status: int) -> None:
    """One request, and no other."""
    rig.receiver.answer = lambda _: Answer(status)
    rig.engine.insert(*range(8))
    rig.configure()
    rig.engine.wait_settled()

    assert rig.numbers() == list(range(8))
    assert len(rig.receiver.requests) == 1


def test_success_widens_what_is_delivered(rig: Rig) -> None:
    """What a receiver calls so: a conflict with what it has, a part of which it refused some."""
    rig.receiver.answer_with(Answer(409), Answer(207), Answer(302), Answer(500))
    rig.engine.insert(*range(32))
    rig.configure(success=[200, 409, 207, 302, 500])
    rig.engine.wait_settled()

    assert len(rig.receiver.requests) == 4
    assert rig.engine.account().delivered == 32


def test_success_narrows_what_is_delivered(rig: Rig) -> None:
    """A 2xx that it does not name is about the body, as 400 is."""
    rig.receiver.answer = lambda r: (
        Answer(202, body=b"queued") if 5 in [e["record"]["n"] for e in r.events] else Answer(200)
    )
    rig.engine.insert(*range(8))
    rig.configure(success=[200])
    rig.engine.wait_settled()

    (letter,) = rig.engine.letters().values()
    assert letter.answer == "202 queued"
    assert rig.engine.account().delivered == 7


@pytest.mark.parametrize("status", ABOUT_THE_BODY)
def test_what_is_about_the_body_is_halved_at_once(rig: Rig, status: int) -> None:
    """No batch goes out twice; the one event to blame is set aside with the answer."""
    rig.receiver.answer = refusing(5, status)
    rig.engine.insert(*range(16))
    rig.configure()
    rig.engine.wait_settled()

    (letter,) = rig.engine.letters().values()
    assert letter.answer == f"{status} no such order"
    assert f"answered {status}" in letter.reason
    assert rig.engine.account().delivered == 15
    assert {*rig.numbers(), 5} == set(range(16))
    several = [each for each in rig.batches() if not each[0].endswith("-1")]
    assert len(several) == len(set(several))


@pytest.mark.parametrize("status", [*ABOUT_THE_BODY, 500])
def test_who_refuses_everything_poisons_nothing(rig: Rig, status: int) -> None:
    """All of it waits, with the answer in the error, and arrives once the receiver is well."""
    rig.receiver.answer = lambda _: Answer(status, body=b"out of order")
    rig.engine.insert(*range(16))
    rig.engine.insert(*range(16), table=OTHER)
    rig.configure()
    wait_until(lambda: len(rig.receiver.requests) > 80, "many tries")

    stats = rig.engine.worker.stats()
    assert (stats.state, set(stats.waiting)) == ("retrying", {TABLE, OTHER})
    assert f"answered {status}" in stats.waiting[TABLE]
    rig.receiver.answer = lambda _: Answer()
    rig.engine.wait_settled()
    assert rig.engine.letters() == {}
    assert sorted(set(rig.numbers())) == list(range(16))


@pytest.mark.parametrize("status", UNNAMED)
def test_what_the_table_does_not_name_goes_out_again_and_then_counts_as_400(
    rig: Rig, status: int
) -> None:
    """The same batch, `max_attempts` times; then halves of it, and one event alone."""
    rig.receiver.answer = refusing(5, status)
    rig.engine.insert(*range(16))
    rig.configure()
    rig.engine.wait_settled()

    assert [rig.batches()[0]] * 3 == rig.batches()[:3]
    assert rig.batches()[3][0].endswith("-4")
    (letter,) = rig.engine.letters().values()
    assert letter.answer == f"{status} no such order"
    assert rig.engine.account().delivered == 15


def test_an_error_that_passes_costs_no_halving(rig: Rig) -> None:
    """Two tries of three fail; the third has the batch as it was."""
    rig.receiver.answer_with(Answer(500), Answer(418))
    rig.engine.insert(*range(8))
    rig.configure()
    rig.engine.wait_settled()

    assert len(rig.batches()) == 3
    assert len(set(rig.batches())) == 1


@pytest.mark.parametrize("status", NOT_ABOUT_THE_EVENTS)
def test_what_is_not_about_the_events_is_tried_as_long_as_it_takes(rig: Rig, status: int) -> None:
    """Ten times as often as `max_attempts` allows: the same batch each time, then delivered."""
    rig.receiver.answer_with(*[Answer(status, body=b"" if status == 304 else b"later")] * 30)
    rig.engine.insert(*range(8))
    rig.configure()
    rig.engine.wait_settled()

    assert len(rig.batches()) == 31
    assert len(set(rig.batches())) == 1
    assert rig.engine.letters() == {}
    assert rig.numbers() == list(range(8))


@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(hang=True)])
def test_no_answer_is_not_about_the_events(rig: Rig, answer: Answer) -> None:
    """Silence, or a connection that is closed: the same batch again."""
    rig.receiver.answer_with(*[answer] * 5)
    rig.engine.insert(*range(8))
    rig.configure(timeout="100ms")
    rig.engine.wait_settled()

    assert len(rig.batches()) == 6
    assert len(set(rig.batches())) == 1
    assert rig.engine.letters() == {}


def test_retry_after_is_obeyed(rig: Rig) -> None:
    """No request comes before the second is over."""
    times = []

    def answer(_: Request) -> Answer:
        times.append(time.monotonic())
        return Answer(429, {"Retry-After": "1"}) if len(times) == 1 else Answer()

    rig.receiver.answer = answer
    rig.engine.insert(*range(8))
    rig.configure()
    rig.engine.wait_settled()

    assert len(times) == 2
    assert times[1] - times[0] >= 1


def test_an_endpoint_that_is_gone_is_left_alone_until_a_reload(rig: Rig) -> None:
    """410: one request, the state `disabled`, nothing lost; a new configuration tries again."""
    rig.receiver.answer = lambda _: Answer(410, body=b"moved away")
    rig.engine.insert(*range(8))
    rig.configure()
    wait_until(lambda: rig.engine.worker.stats().state == "disabled", "disabled")
    rig.engine.insert(*range(8, 16))
    rig.engine.insert(*range(8), table=OTHER)

    stats = rig.engine.worker.stats()
    assert "answered 410" in (stats.error or "")
    assert "reload" in (stats.error or "")
    assert len(rig.receiver.requests) == 1
    rig.receiver.answer = lambda _: Answer()
    rig.configure(timeout="9s")
    rig.engine.wait_settled()
    assert (rig.numbers(), rig.numbers(OTHER)) == (list(range(16)), list(range(8)))
    assert rig.engine.letters() == {}


def test_of_addresses_for_each_table_one_that_is_gone_stops_its_table_alone(rig: Rig) -> None:
    """The other table flows on, and the sink delivers."""
    rig.receiver.answer = lambda r: Answer(410 if r.path.endswith(TABLE) else 204)
    rig.engine.insert(*range(4))
    rig.engine.insert(*range(4), table=OTHER)
    rig.configure(url=f"{rig.receiver.url}/{{table}}")
    rig.engine.wait_settled(OTHER)
    wait_until(lambda: TABLE in rig.engine.worker.stats().waiting, "the table waits")
    for n in range(4, 20):
        rig.engine.insert(n, table=OTHER)
    rig.engine.wait_settled(OTHER)

    stats = rig.engine.worker.stats()
    assert stats.state == "delivering"
    assert "answered 410" in stats.waiting[TABLE]
    assert [r.path for r in rig.receiver.requests].count(f"/hook/{TABLE}") == 1
    assert rig.numbers(OTHER) == list(range(20))
    assert rig.engine.account().pending == 4
    rig.receiver.answer = lambda _: Answer()
    rig.configure(url=f"{rig.receiver.url}/{{table}}", timeout="9s")
    rig.engine.wait_settled()
    assert rig.numbers() == list(range(4))


@pytest.mark.parametrize("status", [421, 431, 402])
def test_a_receiver_that_is_ill_for_long_and_then_well_gets_everything(
    rig: Rig, status: int
) -> None:
    """Table by table in order, nothing twice, nothing set aside, however much came meanwhile."""
    rig.receiver.answer = lambda _: Answer(status, {"Set-Cookie": "a=b"}, b"later")
    rig.configure()
    for n in range(0, 200, 10):
        rig.engine.insert(*range(n, n + 10))
        rig.engine.insert(*range(n, n + 10), table=OTHER)
    wait_until(lambda: len(rig.receiver.requests) > 100, "many tries")

    rig.receiver.answer = lambda _: Answer()
    rig.engine.wait_settled()

    assert rig.engine.letters() == {}
    assert (rig.numbers(), rig.numbers(OTHER)) == (list(range(200)), list(range(200)))


def test_parallel_requests_are_never_of_one_table(tmp_path: Path) -> None:
    """Of three tables up to three at once, of each one after the other and in order."""
    tables = [f"ki_home.t{n}" for n in range(3)]
    under_way: list[str] = []
    most, twice = 0, 0
    with WebhookReceiver() as receiver, Engine(tmp_path / "j", tables) as engine:

        def answer(request: Request) -> Answer:
            nonlocal most, twice
            mine = {e["table"] for e in request.events}
            twice += not mine.isdisjoint(under_way)
            under_way.extend(mine)
            most = max(most, len(under_way))
            time.sleep(0.005)
            for table in mine:
                under_way.remove(table)
            return Answer()

        receiver.answer = answer
        for n in range(0, 100, 5):
            for table in tables:
                engine.insert(*range(n, n + 5), table=table)
        settings = WebhookSettings.model_validate(
            {"type": "webhook", "url": receiver.url, "parallel": 3, "batch": {"max_events": 5}}
        )
        engine.worker.configure(WebhookSink(settings), settings, tables, engine.output)
        engine.worker.start()
        engine.wait_settled()

        assert (twice, most) == (0, 3)
        for table in tables:
            numbers = [e["record"]["n"] for e in receiver.accepted if e["table"] == table]
            assert numbers == list(range(100))
