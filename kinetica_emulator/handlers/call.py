"""One request as its handler sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kinetica_emulator.database import Database
from kinetica_emulator.errors import RequestError
from kinetica_emulator.identity import Identity

_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        database: the cluster's state; its lock is held while the handler runs.
        identity: what the cluster says of itself.
        request: the request's fields, every one present.
        host_header: the address under which the client reached us.
        user: who asks, None for another cluster of the ring.
    """

    database: Database
    identity: Identity
    request: Mapping[str, Any]
    host_header: str | None = None
    user: str | None = None

    def require(self, permission: str, on: str) -> None:
        """Do nothing if whoever asks may do this to an object, named with its schema.

        Raises:
            RequestError: they may not.
        """
        if self.user is not None:
            self.database.permissions.require(self.user, permission, on)

    def option(self, name: str, default: str = "") -> str:
        """Return an option's text."""
        return str(self.request["options"].get(name, default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return an option that is `true` or `false`.

        Raises:
            RequestError: it is neither.
        """
        text = self.request["options"].get(name)
        if text is None or text == "":
            return default
        try:
            return _TRUTH[str(text).lower()]
        except KeyError:
            raise RequestError(f"Option '{name}' must be true or false, not '{text}'") from None


# Returns the reply's fields; those it leaves out get their defaults.
Handler = Callable[[Call], Mapping[str, Any]]
