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
            try:
                read[plain] = read_file(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return read


def read_file(path: Any) -> str:
    """Return the secret that a file holds, without the line end that editors leave.

    Raises:
        ValueError: it cannot be read, or holds no text, or too much for a secret.
    """
    if "://" in str(path):  # not quoted: it may be what the file should hold
        raise ValueError("wanted the path of a file, not an address")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "wanted the path of a file"
        raise ValueError(f"cannot read {path}: {reason}") from None
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds no text in UTF-8") from None
    if not text or len(content) > _LONGEST:
        raise ValueError(f"{path} is empty, or too long for a secret")
    return text
