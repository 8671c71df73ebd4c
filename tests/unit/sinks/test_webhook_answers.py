"""What an answer means: delivered, later, or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Reject, Retry
from bridge.sinks.webhook_answers import LONGEST_RETRY_AFTER, judge, retry_after

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MISCONFIGURED = {301, 302, 307, 308, 401, 403, 404, 405, 407, 410}
BUSY = {408, 425, 429, 502, 503, 504}


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_means_one_thing(status: int) -> None:
    """2xx is delivered; what may pass is retried; only what blames the body is rejected."""
    error = judge(status, {}, "why", NOW)

    if status < 300:
        assert error is None
    elif status < 400 or status in MISCONFIGURED | BUSY:
        assert isinstance(error, Retry)
        assert not error.answered
        assert str(status) in str(error)
    elif status >= 500:
        assert isinstance(error, Retry)
        assert error.answered
    else:
        assert isinstance(error, Reject)
        assert str(error) == f"answered {status}: why"


def test_a_redirect_names_the_address_to_configure() -> None:
    """It is not followed: events would go where nobody has said they should."""
    error = judge(308, {"Location": "https://b/hook"}, "", NOW)

    assert "https://b/hook" in str(error)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("value", ["7", " 7 ", format_datetime(NOW + timedelta(seconds=7), True)])
def test_retry_after_is_heard_as_seconds_and_as_a_date(status: int, value: str) -> None:
    """Both forms of RFC 9110 ask for seven seconds."""
    error = judge(status, {"Retry-After": value}, "", NOW)

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
        ("9" * 400, LONGEST_RETRY_AFTER),
    ],
)
def test_a_retry_after_out_of_range_is_brought_into_it(value: str, seconds: float | None) -> None:
    """A date that has passed means now; an hour is the longest."""
    assert retry_after(value, NOW) == seconds
