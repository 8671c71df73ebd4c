"""The token that the service leaves in the journal's folder, for commands on its machine.

Whoever may read the journal may ask the service to act: it is the same user.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import structlog

from bridge.errors import cause_of

log = structlog.get_logger()

FILE = "admin.token"
_BYTES = 32


def leave_token(folder: Path) -> str | None:
    """Write a token that nobody could guess, readable by this user alone, and return it.

    Returns:
        None where it could not be written, as in a folder that is read-only; then a configured
        token serves.
    """
    token = secrets.token_urlsafe(_BYTES)
    path, new = folder / FILE, folder / f"{FILE}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()  # of a start that was killed
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(token + "\n")
        new.replace(path)  # so that nobody reads half of it
    except OSError as error:
        log.warning("token_not_written", folder=str(folder), cause=cause_of(error))
        return None
    return token


def read_token(folder: Path) -> str | None:
    """Return the token that a service left, None where none did or it may not be read."""
    try:
        return (folder / FILE).read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
