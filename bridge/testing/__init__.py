"""For sink authors: events to test with, and the suite that every sink of ours passes.

Here live `make_event` and `slices_of`, which make what a batch is made of, `drive`, the least
engine that keeps its side of a sink's contract, and `SinkConformance`. The suite needs pytest to
collect it, but imports nothing of it. May import: everything below the command line; of the engine
only what it makes of an answer, so that a sink is tried under the rules that it will live under.
"""

from bridge.testing.conformance import SinkConformance
from bridge.testing.driver import Delivery, drive
from bridge.testing.events import make_event, slices_of

__all__ = ["Delivery", "SinkConformance", "drive", "make_event", "slices_of"]
