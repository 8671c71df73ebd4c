"""What is asked for as a replay, as it travels in a request."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.supervisor.replays import Wish


@pytest.mark.parametrize(
    "wish",
    [
        Wish("hook"),
        Wish("hook", to="audit", table="t", since=17, until=18, rate=0),
        Wish("5", start=3),
        Wish(letters=True, numbers=(1, 2), reason="HTTP 422"),
        Wish("hook", letters=True, since=1, after=7, limit=3),
    ],
)
def test_a_wish_is_the_same_at_the_other_end(wish: Wish) -> None:
    """Whatever looks like a number in it."""
    assert Wish.from_query(wish.to_query()) == wish


def test_a_wish_may_be_written_by_hand() -> None:
    """As a person would in a URL."""
    query = {"sink": "hook", "since": "1970-01-01T00:00:01Z", "rate": "5"}
    assert Wish.from_query(query) == Wish("hook", since=1_000_000, rate=5)
    by_hand = Wish.from_query({"letters": "true", "numbers": "3,4", "reason": "422"})
    assert by_hand == Wish(letters=True, numbers=(3, 4), reason="422")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"sink": "hook", "rat": "5"}, "rat"),
        ({"sink": "hook", "rate": "fast"}, "rate"),
        ({"sink": "hook", "rate": "-1"}, "from 0 on"),
        ({"sink": "hook", "since": "yesterday"}, "since"),
        ({"letters": "true", "numbers": "a,b"}, "numbers"),
        ({"letters": "maybe"}, "letters"),
        ({"letters": "true", "after": "9223372036854775808"}, "below"),
        ({"letters": "true", "numbers": "9223372036854775808"}, "below"),
        ({"sink": "hook", "rate": "[" * 5000}, "rate"),
    ],
)
def test_what_cannot_be_is_refused(query: dict[str, str], said: str) -> None:
    """With the parameter that is wrong."""
    with pytest.raises(ConfigurationError, match=said):
        Wish.from_query(query)
