"""Kinetica's HTTP API as far as a monitor needs it.

Here live the calls and their schemas (`client`, `calls`), the ring of clusters (`ring`) and
column types (`types`). Monitors, ZeroMQ and everything after them are unknown here. May
import: errors, events. The only room, with the webhook sink, that imports `requests`.
"""
