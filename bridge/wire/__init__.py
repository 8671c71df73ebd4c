"""Kinetica's HTTP API as far as a monitor needs it.

Here live the calls and their schemas (`client`, `calls`), the ring of clusters (`ring`) and what
Kinetica declares of a table's columns (`types`; what a column type means is `bridge.types`).
Monitors, ZeroMQ and everything after them are unknown here. May import: errors, events, foreign,
types. The only room, with the webhook sink, that imports `requests`.
"""
