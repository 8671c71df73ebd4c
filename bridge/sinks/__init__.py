"""Sinks: the destinations, each one small class in a module of its own.

Here live the contract (`base`), the sinks that ship with the bridge, and how a sink is found
by its type (`registry`). No sink knows another, and none knows the journal, the engine that
calls it, or Kinetica. What others wrote is cleaned by `bridge.foreign` before it is shown or
logged. May import: certificates, errors, events, foreign, lines, loop, units, formats; a sink alone
imports the client library of its destination.
"""

from bridge.events import Event
from bridge.sinks.base import (
    Batch,
    Batching,
    Carries,
    Disabled,
    NotConnected,
    Reject,
    Retry,
    Retrying,
    Sink,
    SinkError,
    SinkSettings,
)
from bridge.units import Duration, Size

__all__ = [
    "Batch",
    "Batching",
    "Carries",
    "Disabled",
    "Duration",
    "Event",
    "NotConnected",
    "Reject",
    "Retry",
    "Retrying",
    "Sink",
    "SinkError",
    "SinkSettings",
    "Size",
]
