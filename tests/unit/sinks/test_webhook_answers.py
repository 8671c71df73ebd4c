"""What an answer means: delivered, later, or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Disabled, Reject, Retry
from bridge.sinks.webhook_answers import LONGEST_ANSWER, LONGEST_RETRY_AFTER, judge, retry_after

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ABOUT_THE_BODY = {207, 400, 413, 415, 422}
NOT_ABOUT_THE_EVENTS = {
    *range(300, 400),
    *(401, 402, 403, 404, 407, 408, 421, 423, 425, 426, 428, 429, 431, 451, 502, 503, 504),
}


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_means_one_thing(status: int) -> None:
    """The table of DESIGN, section 5."""
    error = judge(status, {}, "why", now=NOW)

    if status in ABOUT_THE_BODY:
        assert type(error) is Reject
        assert not error.certain
    elif status < 300:
        assert error is None
        return
    elif status == 410:
        assert type(error) is Disabled
    else:
        assert type(error) is Retry
        assert error.answered is (status not in NOT_ABOUT_THE_EVENTS)
    assert error.answer == f"{status} why"
    assert f"answered {status}" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(200, None), (207, None), (409, None), (201, Reject), (400, Reject)]
)
def test_success_narrows_and_widens_what_is_delivered(status: int, kind: type | None) -> None:
    """What it names is delivered; a 2xx that it does not name is about the body."""
    error = judge(status, {}, "", now=NOW, success=[200, 207, 409])

    assert type(error) is (kind or type(None))


def test_an_answer_is_kept_with_its_error_up_to_a_limit() -> None:
    """Its status first; the message has the beginning of it."""
    error = judge(422, {}, "x" * 10_000, now=NOW)

    assert error.answer == "422 " + "x" * LONGEST_ANSWER
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://b/hook", "https://b/hook"),
        ("https://me:hunter2@b:8443/hook/", "https://b:8443/hook/"),
        ("/hook/?ticket=hunter2", "/hook/"),
        ("https://b/login/hunter2?ticket=hunter2#hunter2", "https://b/…"),
        ("/hunter2", "/…"),
        ("//b?hunter2", "//b"),
        ("https://[hunter2", "somewhere else"),
        ("", "somewhere else"),
        (None, "somewhere else"),
    ],
)
def test_a_redirect_names_the_address_to_configure(location: str | None, shown: str) -> None:
    """It is not followed; of the new address nothing is said that may be a token."""
    headers = {} if location is None else {"Location": location}
    error = judge(308, headers, "", now=NOW, path="/hook")

    assert f"a redirect to {shown}: put the final address into url" in str(error)


@pytest.mark.parametrize("status", [302, 429, 500, 503])
@pytest.mark.parametrize("value", ["7", " 7 ", format_datetime(NOW + timedelta(seconds=7), True)])
def test_retry_after_is_heard_as_seconds_and_as_a_date(status: int, value: str) -> None:
    """Both forms of RFC 9110 ask for seven seconds."""
    error = judge(status, {"Retry-After": value}, "", now=NOW)

    assert isinstance(error, Retry)
    assert error.after == 7.0


@given(st.text())
def test_any_retry_after_gives_a_sane_wait_or_none(value: str) -> None:
    """Whatever a receiver writes there, nothing breaks and nothing is parked for a day."""
    after = retry_after(value, NOW)

    assert after is None or 0 <= after <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("86400000", LONGEST_RETRY_AFTER),
        (format_datetime(NOW - timedelta(days=1), True), 0.0),
        ("-5", None),
        ("soon", None),
        ("Thu, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Thu, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("9" * 400, LONGEST_RETRY_AFTER),
    ],
)
def test_a_retry_after_out_of_range_is_brought_into_it(value: str, seconds: float | None) -> None:
    """A date that has passed means now; an hour is the longest."""
    assert retry_after(value, NOW) == seconds
