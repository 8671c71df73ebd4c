"""What the emulator raises: to whoever started it, and towards its own clients."""

from __future__ import annotations

from bridge.errors import BridgeError


class EmulatorError(BridgeError):
    """The emulator itself cannot do what it was asked: a port is taken, a fault unavailable."""


class RequestError(BridgeError):
    """A request that a cluster answers with an ERROR reply.

    Attributes:
        status: the HTTP status of the reply.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def unknown_option(key: str) -> RequestError:
    """Return the error for an option that the call does not know."""
    return RequestError(f"Parameter map key: '{key}' is not a valid parameter")
