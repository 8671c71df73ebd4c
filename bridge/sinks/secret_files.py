"""Secrets in a mapping with free names, such as headers: `NAME_file: PATH` beside each.

A model's own secrets need none of this: the configuration gives every `SecretStr` field its
`*_file` twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SUFFIX = "_file"
_LONGEST = 64 * 1024  # bytes: a certificate fits, a wrong path to something huge does no harm


def read_files(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each `NAME_file: PATH` by `NAME: content`, without the line end editors leave.

    Raises:
        ValueError: a file cannot be read, holds no text, or both forms of one name are given.
    """
    read = {}
    for name, value in options.items():
        plain = name.removesuffix(_SUFFIX)
        if plain == name:
            read[name] = value
        elif plain in options:
            raise ValueError(f"both {plain} and {name} are given: keep one")
        else:
            read[plain] = _read(name, value)
    return read


def _read(name: str, path: Any) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "wanted the path of a file"
        raise ValueError(f"{name}: cannot read {path}: {reason}") from None
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path} holds no text in UTF-8") from None
    if not text or len(content) > _LONGEST:
        raise ValueError(f"{name}: {path} is empty, or too long for a secret")
    return text
