"""The environment in a setting: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$`.

It is put in after the YAML was parsed, into one scalar at a time, so a secret that holds a
quote, a colon or a line break stays text. Empty counts as unset for `:-` and `:?`, as in a
shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_INSIDE = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:[-?])(?P<rest>.*))?", re.DOTALL
)


def substitute(text: str, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Put the environment into a scalar.

    Returns:
        The text, and whether a variable was put in.

    Raises:
        ValueError: a variable is not set, or `${` starts nothing that is understood.

    >>> substitute("http://${HOST:-localhost}:9191", {"HOST": "kinetica"})
    ('http://kinetica:9191', True)
    >>> substitute("cost: 5$$", {})
    ('cost: 5$', False)
    """
    touched = False

    def put_in(place: re.Match[str]) -> str:
        nonlocal touched
        if place.group() == "$$":
            return "$"
        touched = True
        return _value(place, environment)

    return _PLACE.sub(put_in, text), touched


def _value(place: re.Match[str], environment: Mapping[str, str]) -> str:
    inside = _INSIDE.fullmatch(place["inside"])
    if inside is None or not place["end"] or "${" in place["inside"]:
        raise ValueError(
            "${ is understood as ${VAR}, ${VAR:-default} or ${VAR:?message}, a default without "
            "another ${; write $$ for a plain $"
        )
    name, operator, rest = inside["name"], inside["operator"], inside["rest"]
    value = environment.get(name)
    if operator == ":-":
        return value or str(rest).replace("$$", "$")
    if operator == ":?":
        if not value:
            raise ValueError(f"environment variable {name}: {rest or 'is not set'}")
        return value
    if value is None:
        raise ValueError(
            f"environment variable {name} is not set; "
            f"${{{name}:-default}} would give it a value, empty for none"
        )
    return value
