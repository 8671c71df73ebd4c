"""Who may do what: users, what they were granted, and what is forbidden to everybody.

A permission is named by what it concerns and what it lets do: `table_read`, `table_insert`,
`monitor_create`, `monitor_admin`, `system_admin`. Who was added as a user may do what was granted;
whoever else gets in may do everything, as on a server without authorization.
Source: protocol, section 4.4.
"""

from __future__ import annotations

import hmac

from kinetica_emulator.errors import RequestError

ANONYMOUS = "anonymous"

_PREFIXES = {"table_monitor": "monitor"}
_WRITES = frozenset({"table_insert", "table_update", "table_delete"})


def permission_name(object_type: str, permission: str) -> str:
    """Name a permission as grants have it.

    >>> permission_name("table_monitor", "create")
    'monitor_create'
    """
    return f"{_PREFIXES.get(object_type, object_type)}_{permission}"


class Permissions:
    """The users and grants of one cluster; changed under the database's lock."""

    def __init__(self) -> None:
        self._passwords: dict[str, str] = {}
        self._grants: set[tuple[str, str, str]] = set()
        self._forbidden: set[tuple[str, str]] = set()

    def add_user(self, name: str, password: str) -> None:
        """Make a user, who may do nothing yet."""
        self._passwords[name] = password

    def knows(self, user: str) -> bool:
        """Say whether there is a user of that name."""
        return user in self._passwords

    def password_is(self, user: str, password: str) -> bool:
        """Say whether this is the password of a user there is, in constant time."""
        return hmac.compare_digest(self._passwords[user].encode(), password.encode())

    def grant(self, user: str, permission: str, on: str = "") -> None:
        """Let a user do something.

        Args:
            user: who.
            permission: what, like `table_read`.
            on: a table, a monitor or a schema with all that is in it; empty for everything.
        """
        self._grants.add((user, permission, on))

    def revoke(self, user: str, permission: str, on: str = "") -> None:
        """Take back exactly one grant, if it was given."""
        self._grants.discard((user, permission, on))

    def forbid(self, permission: str, on: str = "") -> None:
        """Forbid something to everybody, whatever was granted; arguments as of `grant`."""
        self._forbidden.add((permission, on))

    def lift(self) -> None:
        """Forbid nothing to everybody any more; grants stay as they are."""
        self._forbidden.clear()

    def allows(self, user: str, permission: str, on: str) -> bool:
        """Say whether a user may do something to an object, named with its schema."""
        places = ("", on.partition(".")[0], on)
        if any((permission, place) in self._forbidden for place in places):
            return False
        if user not in self._passwords:
            return True
        return any(
            (user, granted, place) in self._grants
            for granted in _sufficient(permission)
            for place in places
        )

    def require(self, user: str, permission: str, on: str) -> None:
        """Do nothing if a user may do something to an object.

        Raises:
            RequestError: the user may not.
        """
        if not self.allows(user, permission, on):
            raise RequestError(f"User '{user}' does not have permission '{permission}' on '{on}'")


def _sufficient(permission: str) -> list[str]:
    """Return the permissions each of which includes this one."""
    subject, _, verb = permission.partition("_")
    sufficient = [permission, f"{subject}_admin", "system_admin", f"system_{verb}"]
    if permission in _WRITES:
        sufficient += ["table_write", "system_write"]
    if subject == "monitor":
        sufficient.append("system_write")
    return sufficient
