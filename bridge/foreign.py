"""Text that others wrote, before it may stand in an error, a log line or a page.

Libraries quote what they were given, receivers echo what they were sent, and addresses carry
credentials. `Cleaner` takes out the secrets that it was told of, in every form in which they
travel, and whatever looks like one in an address or a header.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

from bridge.errors import excerpt

MASK = "***"
_SHORT = 4  # a secret of fewer characters is looked for as a word of its own only

_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s'\"<>]*)")
_LOGIN = re.compile(r"[^\s/@'\"(]+:[^\s/@'\"]+@(?=[\w.\[-])")
_CREDENTIALS = re.compile(r"\b(bearer|basic|digest|negotiate)(\s+)[^\s,;'\"]+", re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
# How pages of HTML have quotation marks: as they are; Python, Django, PHP, Go.
_QUOTES = [("'", '"'), ("&#x27;", "&quot;"), ("&#39;", "&quot;"), ("&#039;", "&quot;")]
_QUOTES += [("&#39;", "&#34;")]
# A text within JSON, and what tells that it is a key.
_JSON_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
# What stands under these keys is ours and no secret, whatever words it has.
_OURS = frozenset(
    {"cluster", "codec", "instance", "level", "of", "pages", "sink", "sinks", "state", "status"}
    | {"table", "tables", "type", "version"}
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z")
_WORDS = re.compile(r"[a-z]+(?:_[a-z]+)*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\ud800-\udfff]")


class Cleaner:
    """Takes secrets out of foreign text.

    Args:
        secrets: what must never be said; what is None or blank is passed over.

    >>> clean = Cleaner(["hunter2"])
    >>> clean("401 for hunter2 at http://me:pw@host/a?token=x")
    '401 for *** at http://host/a'
    """

    __slots__ = ("_forms", "_secrets")

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first: a secret may be a part of another.
        parts = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]
        self._secrets = re.compile("|".join(parts)) if parts else None
        self._forms = forms

    def __repr__(self) -> str:
        return f"<Cleaner {'with' if self._secrets else 'without'} secrets>"

    def __call__(self, text: str, limit: int = 256) -> str:
        """Return the text on one line, of `limit` characters at most, without secrets."""
        return excerpt(self.whole(text), limit)

    def whole(self, text: str, *, cut: bool = False) -> str:
        """Return the text as it stands, without secrets.

        Args:
            text: what others wrote.
            cut: whether its end is missing: the beginning of a secret that stands there goes.
        """
        if self._secrets is not None:
            text = self._secrets.sub(MASK, self._without_beginning(text) if cut else text)
        text = _CREDENTIALS.sub(rf"\1\2{MASK}", text)
        text = _ADDRESS.sub(_bare, text)
        return _UNPRINTABLE.sub("", _LOGIN.sub("", text))

    def _without_beginning(self, text: str) -> str:
        text = text.rstrip("\ufffd")  # half a character
        end = len(text)
        for form in self._forms:
            for at in range(max(0, len(text) - len(form) + 1), end):
                if text[at] == form[0] and form.startswith(text[at:]):
                    end = at
                    break
        if self._secrets is not None:
            for whole in self._secrets.finditer(text):
                if whole.start() < end < whole.end():  # half of it would not be known again
                    return text[: whole.start()]
        return text[:end]


def _bare(match: re.Match[str]) -> str:
    """Return an address without who asks and what is asked for."""
    scheme, rest = match.groups()
    place, mark, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{place.rpartition('@')[2]}{mark}{path}"


def _forms(secret: str) -> Iterable[str]:
    """Name the forms in which a secret may appear in what others write."""
    for text in {secret, secret.strip(), " ".join(secret.split()), *secret.splitlines()}:
        if text.strip():
            yield text
            for quoted in (quote(text), quote(text, safe=""), quote_plus(text)):
                yield from (quoted, _ESCAPE.sub(lambda found: found[0].lower(), quoted))
            for plain in (False, True):
                dumped = json.dumps(text, ensure_ascii=plain)[1:-1]
                yield from (dumped, dumped.replace("/", "\\/"))  # as PHP does
            for single, double in _QUOTES:
                escaped = html.escape(text, quote=False)
                yield escaped.replace("'", single).replace('"', double)
            yield from (repr(text)[1:-1], ascii(text)[1:-1])
            yield base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _pattern(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= _SHORT else rf"(?<!\w){pattern}(?!\w)"


def within_json(text: str, hide: Callable[[str], str]) -> str:
    """Return JSON with secrets hidden in the texts that others may have written.

    A secret may be an innocent word as well: `true`, `orders`, `2026`. Keys, numbers, names,
    states and times stay, so that programs go on to understand what they read.

    Args:
        text: one or more values as JSON.
        hide: puts a mask in place of each secret.

    >>> hide = lambda text: text.replace("live", "*")
    >>> within_json('{"live":{"state":"live","error":"not live"}}', hide)
    '{"live":{"state":"live","error":"not *"}}'
    """
    # What was JSON already, and is quoted, may have a secret escaped twice.
    if "\\\\" not in text and hide(text) == text:
        return text
    key = ""

    def shown(found: re.Match[str]) -> str:
        nonlocal key
        if found[2] is not None:
            key = found[1]
            return found[0]
        if key in _OURS:
            return found[0]
        value = str(json.loads(found[0], strict=False)) if "\\" in found[1] else found[1]
        hidden = hide(value)
        if hidden == value or _TIME.fullmatch(value):
            return found[0]
        if key == "event" and _WORDS.fullmatch(value) and _WORDS.search(hidden):
            return found[0]  # the name of a line of the log, with the secret in it
        return json.dumps(hidden)

    return _JSON_TEXT.sub(shown, text)
