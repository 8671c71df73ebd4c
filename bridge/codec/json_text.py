"""JSON that arrives as text and leaves as JSON: checked, made compact, otherwise untouched.

A number is never read and written again, so 1.10 stays 1.10 and no digit of a long one is
lost. Only a text that any strict parser accepts is embedded: one line with a stray NaN in it
would cost its reader the whole event.
"""

from __future__ import annotations

import re

import orjson

# Each alternative consumes what it began, an unterminated string too: linear on any text.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'
_STRING_OR_SPACE = re.compile(rf"({_STRING})|[ \t\n\r]+", re.DOTALL)
_STRING_OR_NUMBER = re.compile(
    rf"({_STRING})|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.DOTALL
)
_SPACE = re.compile(r"[ \t\n\r]")


def embed(text: str) -> orjson.Fragment | str:
    """Return a JSON text as a compact fragment for orjson, any other text as it is.

    No JSON here: NaN and Infinity, control characters, escapes of lone surrogates, and what
    is nested more than 1,024 deep.
    """
    if not (_parses(text) or _parses(_without_numbers(text))):
        return text
    return orjson.Fragment(_compact(text) if _SPACE.search(text) else text)


def _parses(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _compact(text: str) -> str:
    """Take the space between the tokens out of valid JSON."""
    if "\\" in text:
        return _STRING_OR_SPACE.sub(r"\1", text)
    # Without escapes, every other piece between quotes is a string: several times as fast.
    pieces = text.split('"')
    pieces[::2] = ["".join(piece.split()) for piece in pieces[::2]]
    return '"'.join(pieces)


def _without_numbers(text: str) -> str:
    """Put null for every number: orjson refuses those beyond a double, which are JSON.

    A null beside any other character of a malformed number (`01`, `1.5.6`, `--1`) is no JSON
    either, so the verdict on the rest stands.
    """
    return _STRING_OR_NUMBER.sub(lambda found: found.group(1) or "null", text)
