"""Formats: from a stored entry to the events that sinks get.

Here live the forms an event can take, each a module; today there is `json`. No sink and no
queue is known here. May import: errors, events, codec, journal (its values).
"""
