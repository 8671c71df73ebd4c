"""For sink authors: events to test with, and the suite that every sink of ours passes.

Here live `make_event` and `SinkConformance`. The suite needs pytest to collect it, but imports
nothing of it. May import: everything below the command line; nothing here imports the engine,
so that the suite says what the contract says and not what the engine happens to do.
"""

from bridge.testing.conformance import SinkConformance
from bridge.testing.driver import Delivery, drive
from bridge.testing.events import make_event

__all__ = ["Delivery", "SinkConformance", "drive", "make_event"]
