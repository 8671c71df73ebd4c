"""A stand-in Kinetica: enough of it that the vendor's own client cannot tell.

Lives here: the HTTP API in Avro and JSON, table monitors over ZeroMQ, rows in SQLite, rings,
and faults on demand. Does not: anything that the bridge needs to run against a real cluster.
May import the rooms below it (in fact `errors`, `events` and `wire`); nothing but the command
line and `testing` imports it.
"""

from bridge.emulator.emulator import Emulator
from bridge.emulator.errors import EmulatorError
from bridge.emulator.ring import Ring

__all__ = ["Emulator", "EmulatorError", "Ring"]
