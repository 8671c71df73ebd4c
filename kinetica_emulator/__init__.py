"""A stand-in Kinetica: enough of it that the vendor's own client cannot tell.

Lives here: the HTTP API in Avro and JSON, table monitors over ZeroMQ, rows in SQLite, rings,
and faults on demand. Does not: anything that the bridge needs to run against a real cluster.
Of `bridge` it imports `errors`, `events` and `wire`; of `bridge` the commands `demo` and `emulator`
alone import it, when they run.
"""

from kinetica_emulator.emulator import Emulator
from kinetica_emulator.errors import EmulatorError
from kinetica_emulator.ring import Ring
from kinetica_emulator.traits import Traits

__all__ = ["Emulator", "EmulatorError", "Ring", "Traits"]
