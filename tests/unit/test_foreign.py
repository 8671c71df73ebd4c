"""Foreign text is said without the secrets in it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.foreign import Cleaner, within_json

SECRET = 'hun ter/2"\n+é'
MARKS = "<\"hun'ter>&/ü"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        " ".join(SECRET.split()),
        repr(SECRET),
        ascii(SECRET),
        json.dumps(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form_in_which_it_travels(form: str) -> None:
    """As it is, folded, escaped, percent-encoded, in base64."""
    assert "hun" not in (found := Cleaner([SECRET])(f"refused: {form}, sorry"))
    assert "***" in found
    assert found.endswith(", sorry")
    assert form[:6] not in found


@pytest.mark.parametrize(
    "form",
    [
        html.escape(MARKS),
        html.escape(MARKS, quote=False),
        html.escape(MARKS).replace("&#x27;", "&#39;"),
        html.escape(MARKS).replace("&#x27;", "&#039;"),
        html.escape(MARKS).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        json.dumps(MARKS)[1:-1].replace("/", "\\/"),
        json.dumps(MARKS, ensure_ascii=False)[1:-1],
        quote(MARKS, safe="").lower(),
    ],
)
def test_a_secret_is_found_as_frameworks_of_the_web_write_it(form: str) -> None:
    """Pages escape HTML, PHP escapes slashes, .NET has small letters in percent-encoding."""
    assert Cleaner([MARKS])(f"refused: {form}") == "refused: ***"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("to https://b/hook?token=x#y now", "to https://b/hook now"),
        ("proxy http://me:pw@proxy:3128", "proxy http://proxy:3128"),
        ("proxy me:pw@proxy:3128 is down", "proxy proxy:3128 is down"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("basic bWU6cHc= refused", "basic *** refused"),
        ("line\r\nSet-Cookie: x\x00\x1b[31m", "line Set-Cookie: x[31m"),
        ("nothing to hide: 10:30, a@b", "nothing to hide: 10:30, a@b"),
    ],
)
def test_what_looks_like_credentials_is_taken_out(text: str, said: str) -> None:
    """Also where nobody has told of it."""
    assert Cleaner()(text) == said


def test_a_short_secret_does_not_eat_words() -> None:
    """It is looked for by itself."""
    clean = Cleaner(["on"])

    assert clean("said on, not connection") == "said ***, not connection"


def test_the_longer_of_two_secrets_is_taken_whole() -> None:
    """One may be a part of the other."""
    assert Cleaner(["hunter", "hunter2"])("hunter2 hunter") == "*** ***"


@given(
    st.text("abcXYZ %+/é'\"\\", min_size=4).filter(str.strip), st.text("123 :@"), st.text("456?#")
)
def test_no_secret_is_ever_in_what_is_said(secret: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    said = Cleaner([secret]).whole(f"{before} {secret} {after}")

    assert secret not in said
    assert secret.strip() not in said


@pytest.mark.parametrize("length", range(len(SECRET)))
def test_the_beginning_of_a_secret_goes_with_the_end_of_a_text(length: int) -> None:
    """Nobody can tell it from a whole one that was cut off."""
    clean = Cleaner([SECRET])

    said = clean.whole("x" * 500 + SECRET[:length], cut=True)

    assert said == "x" * 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one token-on", "one "),  # the beginning of the longer one, not the shorter one and more
        ("one token there", "one *** there"),
        ("one token-one here", "one *** here"),  # whole ones stay masked
        ("one tokenext", "one "),  # two that overlap: neither is left in part
        ("one tok\ufffd", "one "),
    ],
)
def test_secrets_that_begin_alike_or_overlap_are_cut_whole(text: str, said: str) -> None:
    """What one begins with may be all of another, or begin within it."""
    assert Cleaner(["token", "token-one", "next-one"]).whole(text, cut=True) == said


def test_a_text_that_was_cut_stays_where_there_is_no_secret() -> None:
    """Nothing is taken for the beginning of nothing."""
    assert Cleaner().whole("abc", cut=True) == "abc"


def masked(*secrets: str) -> Callable[[str], str]:
    """Return what hides some secrets as the service does."""
    return partial(re.compile("|".join(map(re.escape, secrets))).sub, "***")


@pytest.mark.parametrize(
    "secret",
    ["true", "null", "9464", "2026", "orders", "live", "table", "ki_home.orders", "nick"],
)
def test_a_secret_that_is_an_innocent_word_leaves_json_as_it_is_read(secret: str) -> None:
    """Keys, numbers, names, states and times; a text of others has it no more."""
    page = {
        "tables": {"ki_home.orders": {"state": "live", "ready": True, "since": None}},
        "event": "table_state",
        "table": "ki_home.orders",
        "time": "2026-11-26T00:08:43.744430Z",
        "port": 9464,
        "note": "\nick",
    }
    error = f'said "{secret}"\n'

    shown = json.loads(within_json(json.dumps({**page, "error": error}), masked(secret)))

    assert shown == {**page, "error": error.replace(secret, "***")}


@pytest.mark.parametrize("secret", ['top/se"cret', "correct horse", "päss\\w", "hunter2"])
def test_a_secret_in_json_within_json_is_hidden(secret: str) -> None:
    """As a receiver quotes a body, and a library that; also as the name of a line."""
    line = {"event": secret, "answer": json.dumps({"sent": secret})}

    shown = within_json(json.dumps(line), masked(secret, json.dumps(secret)[1:-1]))

    assert json.loads(shown) == {"event": "***", "answer": '{"sent": "***"}'}
