"""What a receiver's answer means for the events that were sent.

    2xx but 207, or what `success` names           delivered
    400 413 415 422, 207, 2xx outside `success`     about the body: rejected
    410                                             the endpoint is gone: disabled
    3xx 401 to 404 407 408 421 423 425 426 428      not about the events: again, as long as it
    429 431 451 502 503 504                         takes, after `Retry-After` if it says so
    500 and any other                               again; one of the events may be to blame

Source: RFC 9110 sections 10.2.3 and 15, RFC 6585 section 4; for 3xx and 410 the Standard
Webhooks specification.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from bridge.errors import Disabled, Reject, Retry

LONGEST_RETRY_AFTER = 3600.0  # seconds: a slip of the receiver must not park us for a day
LONGEST_ANSWER = 2048  # characters of a body that are kept with the error

_ABOUT_THE_BODY = frozenset({207, 400, 413, 415, 422})
_NOT_ABOUT_THE_EVENTS = frozenset(
    {401, 402, 403, 404, 407, 408, 421, 423, 425, 426, 428, 429, 431, 451, 502, 503, 504}
)
_CURES = {
    401: "mend the credentials",
    403: "the receiver forbids this: mend the credentials or its permissions",
    404: "nothing is there: mend the url",
    405: "it takes no POST: mend the url",
    407: "the proxy wants credentials: set them in HTTPS_PROXY",
    410: "the endpoint is gone: mend the url, or remove the sink, and reload",
}


def judge(
    status: int,
    headers: Mapping[str, str] | Message,
    body: str,
    *,
    now: datetime,
    success: Collection[int] | None = None,
    clean: Callable[[str, int], str] = lambda text, limit: text[:limit],
    path: str = "",
) -> Retry | Reject | None:
    """Return None where the events are delivered, else the error that says what to do.

    Args:
        status: the status code.
        headers: of the answer, names in any case.
        body: what the receiver wrote, or the beginning of it; quoted in the error.
        now: the time to count a `Retry-After` that is a date from.
        success: the statuses that mean delivered; None for every 2xx but 207.
        clean: takes the secrets out of foreign text and cuts it.
        path: that was asked for.
    """
    if status in success if success is not None else (200 <= status < 300 and status != 207):
        return None
    said = f": {clean(body, 120)}" if body.strip() else ""
    answer = f"{status} {clean(body, LONGEST_ANSWER)}".rstrip()
    cure = f" ({_CURES[status]})" if status in _CURES else ""
    if 300 <= status < 400:
        target = clean(_public(headers.get("Location"), path), 120)
        cure, said = f", a redirect to {target}: put the final address into url", ""
    text = f"answered {status}{cure}{said}"
    if 200 <= status < 300 or status in _ABOUT_THE_BODY:
        return Reject(text, answer=answer)
    if status == 410:
        return Disabled(text, answer=answer)
    after = retry_after(headers.get("Retry-After"), now)
    innocent = 300 <= status < 400 or status in _NOT_ABOUT_THE_EVENTS
    return Retry(text, after=after, answered=not innocent, answer=answer)


def _public(location: str | None, path: str) -> str:
    """Return where a redirect leads to, without what may be a token in it.

    >>> _public("https://b/hook/?ticket=1", "/hook")
    'https://b/hook/'
    >>> _public("https://b/login/f3a9", "/hook")
    'https://b/…'
    """
    try:
        parts = urlsplit(location or "?")
    except ValueError:
        return "somewhere else"
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    place = f"{scheme}//{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    if not parts.path and not place:
        return "somewhere else"
    known = parts.path.rstrip("/") == path.rstrip("/")
    return f"{place}{parts.path}" if known or not parts.path.strip("/") else f"{place}/…"


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
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:  # `-0000`, which the RFC reads as UTC
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
