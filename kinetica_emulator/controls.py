"""Faults over HTTP: `POST /emulator/<name>` with a JSON object of arguments.

The names are those of `Emulator`'s methods, so that a test may ask an emulator in another process
what it would ask one in its own. They are answered whatever fault is in force, but for a silent
network and a stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from kinetica_emulator.emulator import Emulator

NAMES = (
    "add_neighbour",
    "add_user",
    "close_monitor_port",
    "crowd",
    "delay_notifications",
    "drain",
    "drop_connections",
    "drop_here",
    "drop_requests",
    "fail",
    "forbid",
    "forget_monitors",
    "go_silent",
    "grant",
    "hang",
    "heal",
    "lose_notifications",
    "mute_monitor_port",
    "recreate",
    "refuse",
    "revoke",
    "skip_notifications",
    "truncate_silently",
)


class Controls:
    """What may be asked of an emulator over HTTP."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def answer(self, name: str, body: bytes) -> tuple[int, bytes]:
        """Carry out one request: HTTP status, and what the method returned as JSON."""
        try:
            arguments = json.loads(body or b"{}")
            if name == "traits":
                return 200, json.dumps(self._set_traits(arguments)).encode()
            if name not in NAMES:
                return 404, b'{"error": "no such fault"}'
            carry_out: Callable[..., Any] = getattr(self._emulator, name)
            return 200, json.dumps({"result": carry_out(**arguments)}).encode()
        except (BridgeError, TypeError, ValueError) as error:
            return 400, json.dumps({"error": str(error)}).encode()

    def _set_traits(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        traits = self._emulator.traits
        for name in wanted:
            if not hasattr(traits, name):
                raise ValueError(f"no such trait: {name}")
        for name, value in wanted.items():
            setattr(traits, name, value)
        return asdict(traits)
