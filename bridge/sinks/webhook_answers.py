"""What a receiver's answer, or its silence, means for the events that were sent.

    2xx                          delivered
    408 425 429, 5xx             later, after `Retry-After` if it says so
    3xx 401 403 404 405 407 410  later: somebody has to mend the address or the credentials
    any other                    rejected: the receiver will never take this body

Source: RFC 9110 sections 10.2.3 and 15, RFC 6585 section 4; for 3xx and 410 the Standard
Webhooks specification.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bridge.errors import Reject, Retry, excerpt

LONGEST_RETRY_AFTER = 3600.0  # seconds: a slip of the receiver must not park us for a day

_BUSY = frozenset({408, 425, 429, 502, 503, 504})  # said without looking at the events
_CURES = {
    401: "mend the credentials",
    403: "the receiver forbids this: mend the credentials or its permissions",
    404: "nothing is there: mend the url",
    405: "it takes no POST: mend the url",
    407: "the proxy wants credentials: set them in HTTPS_PROXY",
    410: "the receiver has given this address up: mend the url",
}


def judge(
    status: int, headers: Mapping[str, str], body: str, now: datetime
) -> Retry | Reject | None:
    """Return None where the events are delivered, else the error that says what to do.

    Args:
        status: the status code.
        headers: of the answer, names in any case.
        body: what the receiver wrote, or the beginning of it; quoted in the error.
        now: the time to count a `Retry-After` that is a date from.
    """
    if 200 <= status < 300:
        return None
    said = f": {excerpt(body, 120)}" if body.strip() else ""
    if 300 <= status < 400:
        target = excerpt(headers.get("Location", "somewhere else"), 120)
        return Retry(f"answered {status}, a redirect to {target}: put the final address into url")
    if status in _CURES:
        return Retry(f"answered {status} ({_CURES[status]}){said}")
    if status in _BUSY or status >= 500:
        after = retry_after(headers.get("Retry-After"), now)
        return Retry(f"answered {status}{said}", after=after, answered=status not in _BUSY)
    return Reject(f"answered {status}{said}")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for, None where it asks for nothing legible.

    >>> retry_after("120", datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> retry_after("Thu, 01 Jan 2026 00:00:10 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    10.0
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:  # `-0000`, which the RFC reads as UTC
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def root_cause(error: BaseException) -> str:
    """Return what lies under an exception of the HTTP library, in one line.

    The library wraps the operating system's error three or four deep; the innermost one is
    what an operator can act on.
    """
    seen = {id(error)}
    while (inner := _inner(error)) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved ({error.strerror})"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _inner(error: BaseException) -> BaseException | None:
    candidates = (getattr(error, "reason", None), error.__cause__, *error.args, error.__context__)
    return next((each for each in candidates if isinstance(each, BaseException)), None)
