"""The webhook sink against a real HTTP server: what is sent, and what each answer does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from services.batches import batch_of
from services.webhook import Answer, Request, WebhookReceiver

from bridge.errors import Disabled, Reject, Retry
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import drive, make_event

EVENTS = [make_event(offset) for offset in range(7, 10)]
MakeSink = Callable[..., WebhookSink]


@pytest.fixture
def make_sink(webhook_receiver: WebhookReceiver) -> Iterator[MakeSink]:
    sinks = []

    def make(clock: Callable[[], float] | None = None, **values: Any) -> WebhookSink:
        settings = {"type": "webhook", "url": webhook_receiver.url} | values
        clocks = {"clock": clock} if clock else {}
        sink = WebhookSink(WebhookSettings.model_validate(settings), **clocks)
        sink.open()
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()


def test_a_batch_is_one_post_of_a_json_array(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """The body has the events byte for byte; even one event is an array."""
    sink = make_sink()
    sink.deliver(batch_of(EVENTS))
    sink.deliver(batch_of(EVENTS[:1]))

    first, second = webhook_receiver.requests

    assert first.method == "POST"
    assert first.path == "/hook"
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["User-Agent"].startswith("kinetica-bridge/")
    assert first.body == b"[" + b",".join(event.value for event in EVENTS) + b"]"
    assert [event["offset"] for event in first.events] == [7, 8, 9]
    assert second.body == b"[" + EVENTS[0].value + b"]"
    assert not [name for name in first.headers if name.lower().startswith("webhook-")]


def test_the_connection_is_kept(webhook_receiver: WebhookReceiver, make_sink: MakeSink) -> None:
    """Batches follow on one connection, after failures too."""
    webhook_receiver.answer_with(Answer(200, body=b"ok"), Answer(500, body=b"no"))
    sink = make_sink()

    drive(sink, EVENTS)
    drive(sink, EVENTS)
    drive(sink, EVENTS)

    assert [request.connection for request in webhook_receiver.requests] == [0, 0, 0, 0]


def test_a_signed_batch_is_verified_and_keeps_its_id_over_retries(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """The id names the batch, the timestamp the attempt, and the signature covers both."""
    key = bytes(range(32))
    seconds = iter([1_700_000_000.9, 1_700_000_000.9, 1_700_000_060.1, 1_700_000_060.1])
    webhook_receiver.answer_with(Answer(503))
    sink = make_sink(lambda: next(seconds), secret=f"whsec_{base64.b64encode(key).decode()}")

    drive(sink, EVENTS)

    first, second = webhook_receiver.requests
    for request, timestamp in ((first, "1700000000"), (second, "1700000060")):
        assert request.headers["webhook-id"] == "9f86d081884c7d65-7-3"
        assert request.headers["webhook-timestamp"] == timestamp
        content = b"9f86d081884c7d65-7-3." + timestamp.encode() + b"." + request.body
        digest = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert first.body == second.body


def test_a_previous_secret_signs_as_well(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """Two signatures, the current one first."""
    make_sink(secret="new", previous_secret="old").deliver(batch_of(EVENTS))

    signatures = webhook_receiver.requests[0].headers["webhook-signature"].split(" ")

    assert len(set(signatures)) == 2


@pytest.mark.parametrize(
    ("values", "authorization"),
    [
        ({}, None),
        ({"username": "me", "password": "größe"}, "Basic bWU6Z3LDtsOfZQ=="),
        ({"username": "me"}, "Basic bWU6"),
        ({"bearer_token": "abc"}, "Bearer abc"),
        ({"headers": {"Authorization": "Token abc"}}, "Token abc"),
    ],
)
def test_credentials_are_those_configured_and_no_others(
    webhook_receiver: WebhookReceiver,
    make_sink: MakeSink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    authorization: str | None,
) -> None:
    """A `.netrc` that knows the host changes nothing."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    make_sink(**values).deliver(batch_of(EVENTS))

    assert webhook_receiver.requests[0].headers["Authorization"] == authorization


def test_headers_are_sent_with_each_request(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """Whatever a receiver wants to see."""
    make_sink(headers={"X-Tenant": "a b"}).deliver(batch_of(EVENTS))

    assert webhook_receiver.requests[0].headers["X-Tenant"] == "a b"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink, status: int
) -> None:
    """It is an error that names the new address."""
    target = {"Location": f"https://elsewhere:{webhook_receiver.port}/hook/?ticket=x"}
    webhook_receiver.answer_with(Answer(status, target))

    with pytest.raises(Retry, match=r"https://elsewhere:[0-9]+/hook/: put the final address"):
        make_sink().deliver(batch_of(EVENTS))

    assert [request.path for request in webhook_receiver.requests] == ["/hook"]


def test_a_busy_receiver_says_when_to_come_back(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """`Retry-After` reaches the engine; the events are not to blame."""
    webhook_receiver.answer_with(Answer(429, {"Retry-After": "3"}, b"slow down"))

    with pytest.raises(Retry, match="/hook answered 429: slow down") as caught:
        make_sink().deliver(batch_of(EVENTS))

    assert (caught.value.after, caught.value.answered) == (3.0, False)


def test_a_poison_event_is_found_in_its_batch(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """The receiver refuses whatever has it; halving the batch leaves it alone."""
    events = [make_event(offset) for offset in range(50)]
    webhook_receiver.answer = lambda request: (
        Answer(400, body=b"bad order") if events[31].value in request.body else Answer()
    )

    result = drive(make_sink(), events)

    assert [(event.offset, str(error)) for event, error in result.rejected] == [
        (31, f"{webhook_receiver.url} answered 400: bad order")
    ]
    found = [event["offset"] for event in webhook_receiver.accepted]
    assert found == [offset for offset in range(50) if offset != 31]


@pytest.mark.parametrize(
    ("answer", "reason"), [(Answer(cut=True), "closed"), (Answer(hang=True), "no answer within")]
)
def test_silence_is_a_retry(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink, answer: Answer, reason: str
) -> None:
    """A connection that is closed or says nothing blames no event, and the next try is clean."""
    webhook_receiver.answer_with(answer)
    sink = make_sink(timeout="300ms")

    with pytest.raises(Retry, match=reason) as caught:
        sink.deliver(batch_of(EVENTS))
    sink.deliver(batch_of(EVENTS))

    assert not caught.value.answered
    assert len(webhook_receiver.accepted) == 3


def test_nobody_there_is_said_in_one_line(make_sink: MakeSink) -> None:
    """The operating system's words, and no stack of the library's."""
    with WebhookReceiver() as gone:
        url = gone.url
    with pytest.raises(Retry) as caught:
        make_sink(url=url).deliver(batch_of(EVENTS))

    assert str(caught.value) == f"{url}: Connection refused"


def test_an_unknown_host_is_said(make_sink: MakeSink) -> None:
    """With its name; the top-level domain is reserved to be none."""
    with pytest.raises(Retry, match=r"http://hook\.invalid/: the name cannot be resolved"):
        make_sink(url="http://hook.invalid/").deliver(batch_of(EVENTS))


def test_a_token_in_the_address_is_never_in_an_error(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """It is sent, and not said."""
    webhook_receiver.answer_with(Answer(500), Answer(422), Answer(cut=True))
    sink = make_sink(url=f"{webhook_receiver.url}?token=hunter2")

    for _ in range(3):
        with pytest.raises((Retry, Reject)) as caught:
            sink.deliver(batch_of(EVENTS))
        assert "hunter2" not in str(caught.value)
    assert webhook_receiver.requests[0].path == "/hook?token=hunter2"


def test_a_long_answer_is_not_read_to_its_end(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """A page of HTML is cut short in the error, and costs a connection instead of time."""
    webhook_receiver.answer_with(Answer(500, body=b"x" * 5_000_000), Answer(200, body=b"y" * 9000))
    sink = make_sink()

    with pytest.raises(Retry) as caught:
        sink.deliver(batch_of(EVENTS))
    sink.deliver(batch_of(EVENTS))
    sink.deliver(batch_of(EVENTS))

    assert len(str(caught.value)) < 300
    assert [request.connection for request in webhook_receiver.requests] == [0, 1, 2]


SECRET = "hunter2/größe"


def planted(answer: Answer) -> Callable[[Request], Answer]:
    """Answer with everything that came, as a careless receiver does."""

    def echo(request: Request) -> Answer:
        headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = f"{SECRET} {request.path}\n{headers}".encode()
        location = {"Location": f"http://me:{quote(SECRET)}@other/{request.path}"}
        return replace(answer, body=body, headers=location)

    return echo


@pytest.mark.parametrize("status", [207, 302, 400, 401, 407, 410, 500, 503])
@pytest.mark.parametrize(
    "values",
    [
        {"bearer_token": "hunter2-token"},
        {"username": "me", "password": SECRET},
        {"secret": f"whsec_{base64.b64encode(b'hunter2' * 5).decode()}"},
        {"headers": {"X-Key": "hunter2-key", "Authorization": "Token hunter2-auth"}},
        {"headers": {"X-Key": "hunter2 key"}, "url": f"?a=hunter2&b={quote(SECRET)}#hunter2"},
    ],
)
def test_no_secret_is_said_whatever_the_receiver_echoes(
    webhook_receiver: WebhookReceiver,
    make_sink: MakeSink,
    capfd: pytest.CaptureFixture[str],
    status: int,
    values: dict[str, Any],
) -> None:
    """Neither in the error, nor in the answer kept with it, nor in the log."""
    webhook_receiver.answer = planted(Answer(status))
    url = webhook_receiver.url + values.get("url", "")
    others = {"password": SECRET, "username": "me"} if "bearer_token" not in values else {}
    others = {} if "Authorization" in values.get("headers", {}) else others
    sink = make_sink(**(others | values | {"url": url, "tls": {"verify": False}}))

    with pytest.raises((Retry, Reject)) as caught:
        sink.deliver(batch_of(EVENTS))

    said = f"{caught.value} {caught.value.answer} {capfd.readouterr()}"
    assert str(status) in said
    for form in ("hunter2-token", "hunter2-key", "hunter2 key", "hunter2-auth", "a=hunter2"):
        assert form not in said
    if others or "password" in values:
        assert SECRET not in said
        assert quote(SECRET) not in said
        login = base64.b64encode(f"me:{SECRET}".encode()).decode()
        assert login not in said
    assert base64.b64encode(b"hunter2" * 5).decode() not in said


@pytest.mark.parametrize("status", [400, 410, 503])
def test_tables_with_addresses_of_their_own_wait_alone(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink, status: int
) -> None:
    """Each gets its own request and identity; what one address answers concerns its table."""
    webhook_receiver.answer = lambda request: Answer(
        status if request.path == "/hook/ki_home/b%2Fc" else 204
    )
    sink = make_sink(url=f"{webhook_receiver.url}/{{schema}}/{{name}}", secret="s")
    tables = ("ki_home.a", "ki_home.b/c")
    batch = batch_of([make_event(offset, table=tables[offset % 2]) for offset in range(6)])

    sink.deliver(batch)

    kinds = {400: Reject, 410: Disabled, 503: Retry}
    assert {t: type(e) for t, e in batch.failed_tables.items()} == {"ki_home.b/c": kinds[status]}
    first, second = webhook_receiver.requests
    assert [event["offset"] for event in first.events] == [0, 2, 4]
    assert first.headers["webhook-id"] == "9f86d081884c7d65-0-3"
    assert second.headers["webhook-id"] == "9f86d081884c7d65-1-3"
    alone = batch_of([make_event(7, table="ki_home.b/c")])
    sink.deliver(alone)
    assert type(alone.failed_tables["ki_home.b/c"]) is kinds[status]


def test_an_endpoint_that_is_gone_disables_the_sink(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """410: until somebody mends the configuration."""
    webhook_receiver.answer_with(Answer(410, body=b"moved away"))

    with pytest.raises(Disabled, match=r"answered 410 .*reload.*moved away") as caught:
        make_sink().deliver(batch_of(EVENTS))

    assert caught.value.answer == "410 moved away"


def test_requests_run_side_by_side(webhook_receiver: WebhookReceiver, make_sink: MakeSink) -> None:
    """`parallel` is a number in the contract; each has a connection, and both are kept."""
    sink = make_sink(parallel=2)
    assert sink.max_in_flight == 2
    meeting = threading.Barrier(2, timeout=30)

    def answer(_: Request) -> Answer:
        meeting.wait()
        return Answer()

    webhook_receiver.answer = answer
    for _ in range(2):
        threads = [
            threading.Thread(target=sink.deliver, args=(batch_of([event]),)) for event in EVENTS[:2]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(request.connection for request in webhook_receiver.requests) == [0, 0, 1, 1]


def test_check_needs_an_answer_and_no_more(
    webhook_receiver: WebhookReceiver, make_sink: MakeSink
) -> None:
    """HEAD, whatever its status; a refusal counts where credentials are configured."""
    webhook_receiver.answer_with(Answer(405), Answer(401), Answer(401))
    make_sink().check()
    make_sink().check()
    with pytest.raises(Retry, match="answered 401"):
        make_sink(bearer_token="x").check()
    with WebhookReceiver() as gone:
        url = gone.url
    with pytest.raises(Retry, match="refused"):
        make_sink(url=url).check()

    assert {request.method for request in webhook_receiver.requests} == {"HEAD"}
