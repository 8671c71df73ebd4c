"""What pydantic finds wrong, in the words of the file's author.

Errors come with the place as pydantic sees it, which has the tags of unions and names of
classes in it, and with wording for programmers. Here each becomes one problem at a setting:
what is wanted there, what stands there instead, and which name was meant. A secret, and what
the environment put in, is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.config.nearest import suggestion
from bridge.config.problems import KeyPath
from bridge.config.shape import FILE_SUFFIX, at, is_secret, keys
from bridge.errors import excerpt

# What pydantic's type errors want. Several at one place are the members of a union.
_LIST = "a list"
_SETTINGS = "settings (KEY: VALUE)"
_WORD = re.compile(r"[a-z]{3,4}")
_WANTED: Mapping[str, str] = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "list": _LIST,
    "tuple": _LIST,
    "set": _LIST,
    "frozen": _LIST,
    "iterable": _LIST,
    "dict": _SETTINGS,
    "mapping": _SETTINGS,
    "model": _SETTINGS,
    "path": "a path",
    "none": "nothing",
}
_KIND = re.compile(
    r"(?P<kind>string|int|float|finite|decimal|bool|list|tuple|set|frozen|iterable|dict|mapping"
    r"|model|path|none)_(?:set_)?(?:attributes_)?"
    r"(?:type|parsing|parsing_size|from_float|required|sub_type|number)"
)
_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("must be more than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be less than {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
    "multiple_of": ("must be a multiple of {}", "multiple_of"),
    "string_too_long": ("must have at most {} characters", "max_length"),
    "string_pattern_mismatch": ("must match {}", "pattern"),
    "too_long": ("must have at most {} items", "max_length"),
}


def problems_of(
    error: ValidationError, annotation: Any, data: Any, hidden: Mapping[KeyPath, str]
) -> list[tuple[KeyPath, str]]:
    """Turn a validation error into problems.

    Args:
        error: what pydantic raised.
        annotation: the model it validated.
        data: what it was given, plain data.
        hidden: what to show in place of the value, for each path whose value must not be seen.

    Returns:
        The path of each problem within `data`, and its reason.
    """
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        grouped.setdefault(_place(details, data), []).append(details)
    return [
        (path, _reason(path, group, annotation, data, hidden))
        for path, group in grouped.items()
        if not _follows(group[0]) and not _is_other_form(path, group[0], grouped)
    ]


def _place(details: ErrorDetails, data: Any) -> KeyPath:
    """Find the setting: the part of pydantic's place that is in the data."""
    path: KeyPath = ()
    value = data
    *_, last = details["loc"] or ("",)
    for part in details["loc"]:
        within = isinstance(part, int) and isinstance(value, list | tuple) and part < len(value)
        if within or (isinstance(value, dict) and part in value):
            value = value[part]
        elif details["type"] != "missing" or part is not last:
            continue
        path = (*path, part)
    return path


def _follows(details: ErrorDetails) -> bool:
    """Say whether an error only follows from others: a list is short of what failed in it."""
    if details["type"] != "too_short":
        return False
    given = details["input"]
    return isinstance(given, list | tuple) and len(given) >= details["ctx"]["min_length"]


def _is_other_form(path: KeyPath, details: ErrorDetails, others: Iterable[KeyPath]) -> bool:
    """Say whether settings were given where a word may stand, and are what is wrong."""
    if not _is_word_for_settings(details):
        return False
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _is_word_for_settings(details: ErrorDetails) -> bool:
    return details["type"] == "literal_error" and isinstance(details["input"], dict)


def _reason(
    path: KeyPath,
    group: list[ErrorDetails],
    annotation: Any,
    data: Any,
    hidden: Mapping[KeyPath, str],
) -> str:
    # Settings where a word may stand, too: what is wrong is in them.
    group = [one for one in group if not _is_word_for_settings(one)] or group
    details = group[0]
    match details["type"]:
        case "missing":
            return _required(path, annotation)
        case "extra_forbidden":
            return unknown_key(str(path[-1]), keys(at(annotation, path[:-1])))
    if details["input"] is None:
        return "has no value; give it one, or leave the key out"
    kinds = [found["kind"] for one in group if (found := _KIND.fullmatch(one["type"]))]
    if kinds:
        wanted = " or ".join(dict.fromkeys(_WANTED[kind] for kind in kinds))
        # Headers or options written as one text hold what they would hold as settings: secrets.
        is_text = isinstance(details["input"], str) and wanted == _SETTINGS
        shown = hidden.get(path) or ("text" if is_text else _described(details["input"]))
        cure = _cure(wanted, details["input"], hidden=path in hidden)
        return f"wanted {wanted}, not {shown}{cure}"
    value = at_path(data, path)
    text = "; ".join(dict.fromkeys(_sentence(one, hidden.get(path)) for one in group))
    return masked(text, path, value, hidden)


def unknown_key(key: str, valid: list[str]) -> str:
    """Say that a key is unknown, and which was meant.

    >>> unknown_key("url", ["urls", "username"])
    'unknown key; did you mean "urls"?'
    """
    return f"unknown key; {suggestion(key, valid, otherwise='valid here are')}"


def _required(path: KeyPath, annotation: Any) -> str:
    around = at(annotation, path[:-1])
    if is_secret(at(annotation, path)) and f"{path[-1]}{FILE_SUFFIX}" in keys(around):
        return f"required, or {path[-1]}{FILE_SUFFIX}"
    return "required"


def _sentence(details: ErrorDetails, hidden: str | None) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"]) or "not accepted"
    if kind in _LIMITS:
        text, name = _LIMITS[kind]
        return text.format(context[name])
    if kind in {"string_too_short", "too_short"}:
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least}"
    if kind in {"literal_error", "enum"}:
        return _choice(context["expected"], details["input"], hidden)
    if kind.startswith("url_"):
        return "not a URL such as https://example.com/path"
    words = details["msg"].replace("Input should", "must")
    return re.sub(r"\s*\[.*?\]|an? (valid )?instance of \w+", "", words)


def _choice(expected: str, value: Any, hidden: str | None) -> str:
    names = re.findall(r"'((?:[^'\\]|\\.)*)'", expected)
    shown = hidden or _described(value)
    if not names:
        return f"must be {expected}, not {shown}"
    listed = ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else names[0]
    meant = "" if hidden or not isinstance(value, str) else suggestion(value, names)
    return f"must be {listed}, not {shown}" + (f"; {meant}" if meant.startswith("did") else "")


def _described(value: Any) -> str:
    """Name a value: scalars as they are, lists and settings by what they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return _SETTINGS
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return f'"{excerpt(value, 60)}"' if value else "an empty text"
    return f"the number {excerpt(repr(value), 60)}"


def _cure(wanted: str, value: Any, *, hidden: bool) -> str:
    if wanted == _LIST and isinstance(value, str) and value.isidentifier() and not hidden:
        return f"; write [{value}]"
    if wanted == "text" and isinstance(value, bool | int | float):
        return "; put it in quotes to make it text"
    return ""


def masked(text: str, path: KeyPath, value: Any, hidden: Mapping[KeyPath, str]) -> str:
    """Take every value out of a message that must not be seen."""
    for other, shown in hidden.items():
        if other[: len(path)] != path:
            continue
        inner = at_path(value, other[len(path) :])
        if not isinstance(inner, str):
            continue
        if len(inner) > 2:
            for form in (repr(inner), f'"{inner}"'):
                text = text.replace(form, shown)
            # Not within a name: `ssl` is a value, and a part of `ssl.ca.location`.
            part = rf"(?<![\w.-]){re.escape(inner)}(?![\w-]|\.\w)"
            bare = part if _WORD.fullmatch(inner) else re.escape(inner)
            text = re.sub(bare, lambda _, shown=shown: shown, text)  # type: ignore[misc]
        elif inner and other == path:
            # A value of a letter or two hides nothing, and is found within words and units.
            whole = rf"(['\"]?)(?<!\w){re.escape(inner)}(?!\w)\1"
            text = re.sub(whole, shown.replace("\\", r"\\"), text)
    return text


def at_path(value: Any, path: KeyPath) -> Any:
    """Return what stands at a path in plain data, None where nothing does."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
