"""JSON that arrives as text and leaves as JSON: checked, made compact, otherwise untouched.

A number is never read and written again, so 1.10 stays 1.10 and no digit of a long one is
lost. Only a text that any strict parser accepts is embedded: one line with a stray NaN in it
would cost its reader the whole event.
"""

from __future__ import annotations

import re
from io import StringIO
from math import isinf

import orjson

MOST_LEVELS = 900 - 2
"""Deepest nesting of a text that is embedded: common parsers stop short of 1,000 levels, and
the event and its record stand around it."""

# Possessive, so that nothing is remembered of what was read: a text of escapes costs no memory.
_STRING = (
    r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r'|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))*+"'
)
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_TOKEN = re.compile(
    rf"[ \t\n\r]*+(?:({_STRING})|({_NUMBER})|(true|false|null)|([\[\]{{}},:]))(?:[ \t\n\r]*+)"
)
_OUTSIDE_STRINGS = re.compile(rf"({_STRING})|[ \t\n\r]++")
_SPACE = re.compile(r"[ \t\n\r]")
# A text up to here may be read into objects; of a longer one they would be too many.
_SMALL = 64 * 1024
# What may come next in a text.
_VALUE, _VALUE_OR_END, _NAME, _NAME_OR_END, _COLON, _COMMA = range(6)


def compact(text: str) -> str | None:
    """Take the space between the tokens out of a JSON text; None where it is no such.

    No JSON here: NaN and Infinity, control characters, escapes of lone surrogates, numbers
    beyond the range of a double, and what is nested more than `MOST_LEVELS` deep.
    """
    if len(text) > _SMALL:
        return _compact_long(text)
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if text.count("[") + text.count("{") > MOST_LEVELS:
        return _compact_long(text)
    return _OUTSIDE_STRINGS.sub(r"\1", text) if _SPACE.search(text) else text


def _compact_long(text: str) -> str | None:
    """Go through the tokens, keeping nothing but what is open."""
    written = StringIO()
    levels = bytearray()  # of each array or object that is open, what closes it
    wanted = _VALUE
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        at = found.end()
        token = found[found.lastindex or 0]
        after = _after(found.lastindex, token, wanted, levels)
        if after is None:
            return None
        wanted = after
        written.write(token)
    return written.getvalue() if wanted == _COMMA and not levels else None


def _after(kind: int | None, token: str, wanted: int, levels: bytearray) -> int | None:
    """Return what is wanted after a token, None where the token itself is not.

    Args:
        kind: the group of the pattern: string, number, word, mark.
        token: its text.
        wanted: what may stand there.
        levels: what is open; changed by a mark that opens or closes.
    """
    if kind == 4:
        return _after_mark(token, wanted, levels)
    if kind == 1 and wanted in {_NAME, _NAME_OR_END}:
        return _COLON
    if wanted not in {_VALUE, _VALUE_OR_END} or (kind == 2 and isinf(float(token))):
        return None
    return _COMMA


def _after_mark(mark: str, wanted: int, levels: bytearray) -> int | None:
    if mark in "[{":
        good = wanted in {_VALUE, _VALUE_OR_END} and len(levels) < MOST_LEVELS
        after = _VALUE_OR_END if mark == "[" else _NAME_OR_END
        levels += b"]" if mark == "[" else b"}"
    elif mark in "]}":
        empty = _VALUE_OR_END if mark == "]" else _NAME_OR_END
        good = wanted in {_COMMA, empty} and levels[-1:] == mark.encode()
        after = _COMMA
        del levels[-1:]
    elif mark == ":":
        good = wanted == _COLON
        after = _VALUE
    else:
        good = wanted == _COMMA and bool(levels)
        after = _VALUE if levels[-1:] == b"]" else _NAME
    return after if good else None
