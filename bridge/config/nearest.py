"""Did you mean: the nearest valid name to one that is not valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Below this ratio a suggestion misleads more often than it helps; found on misspelt settings.
_ALIKE = 0.6


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that is most like this one, None if none is.

    >>> nearest("url", ["urls", "username"])
    'urls'
    """
    plain = {_plain(candidate): candidate for candidate in valid}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_ALIKE)
    return plain[found[0]] if found else None


def suggestion(name: str, valid: Iterable[str], *, otherwise: str = "known are") -> str:
    """Say which name was meant, or which ones there are.

    >>> suggestion("url", ["urls", "username"])
    'did you mean "urls"?'
    >>> suggestion("colour", ["urls", "username"])
    'known are urls, username'
    """
    names = list(valid)
    meant = nearest(name, names)
    if meant is not None:
        return f'did you mean "{meant}"?'
    return f"{otherwise} {', '.join(names)}" if names else "there are none"


def no_sink(name: str, sinks: Iterable[str]) -> str:
    """Say that no sink has an id, and which one was meant."""
    return f'no sink has the id "{name}"; {suggestion(name, sinks, otherwise="sinks are")}'


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
