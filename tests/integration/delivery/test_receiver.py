"""The engine before a real HTTP receiver that is ill for a while, or chokes on an event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from services.delivery import OTHER, TABLE, Engine
from services.process import wait_until
from services.webhook import Answer, Request, WebhookReceiver

from bridge.sinks.webhook import WebhookSettings, WebhookSink


def start(rig: Engine, receiver: WebhookReceiver) -> None:
    """Let the engine post to the receiver, with short waits."""
    retry = {"initial_backoff": "1ms", "max_backoff": "10ms", "max_attempts": 3}
    batch = {"max_events": 10, "max_wait": "1ms"}
    settings = WebhookSettings.model_validate(
        {"type": "webhook", "url": receiver.url, "retry": retry, "batch": batch}
    )
    rig.worker.configure(WebhookSink(settings), settings, rig.tables, rig.output)
    rig.worker.start()


def accepted(receiver: WebhookReceiver, table: str) -> list[int]:
    """Return the numbers of the rows of a table that were answered with 2xx."""
    return [e["record"]["n"] for e in receiver.accepted if e["table"] == table]


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_receiver_that_is_ill_for_a_while_loses_nothing(
    tmp_path: Path, webhook_receiver: WebhookReceiver, status: int
) -> None:
    """Whatever it answers to everything: the answer is shown, and all arrives once it is well."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:
        webhook_receiver.answer = lambda _: Answer(status, body=b"not today")
        start(rig, webhook_receiver)
        for n in range(0, 60, 5):
            rig.insert(*range(n, n + 5))
            rig.insert(*range(n, n + 5), table=OTHER)
        wait_until(lambda: len(webhook_receiver.requests) > 50, "many tries")
        stats = rig.worker.stats()
        assert stats.state == "retrying"
        assert str(status) in (stats.error or "")

        webhook_receiver.answer = lambda _: Answer()
        rig.wait_settled()
        assert rig.letters() == {}
        for table in (TABLE, OTHER):
            assert sorted(set(accepted(webhook_receiver, table))) == list(range(60))


def choking(status: int) -> Callable[[Request], Answer]:
    """Answer with a status wherever the row 7 of the one table is."""

    def answer(request: Request) -> Answer:
        rows = [(e["table"], e["record"]["n"]) for e in orjson.loads(request.body)]
        return Answer(status, body=b"no seven") if (TABLE, 7) in rows else Answer()

    return answer


@pytest.mark.parametrize("status", [422, 500])
def test_a_poison_event_costs_itself_alone(
    tmp_path: Path, webhook_receiver: WebhookReceiver, status: int
) -> None:
    """It is set aside with the answer; all others arrive, each table in order."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:
        webhook_receiver.answer = choking(status)
        start(rig, webhook_receiver)
        for n in range(0, 40, 4):
            rig.insert(*range(n, n + 4))
            rig.insert(*range(n, n + 4), table=OTHER)
        rig.wait_settled()

        (letter,) = rig.letters().values()
        assert orjson.loads(letter.value or b"")["record"]["n"] == 7
        assert str(status) in (letter.answer or "")
        assert letter.attempts >= 2
        assert accepted(webhook_receiver, OTHER) == list(range(40))
        assert accepted(webhook_receiver, TABLE) == [n for n in range(40) if n != 7]
