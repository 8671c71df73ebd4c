"""Formats: from an entry to the lines that sinks get.

Here live the forms an event can take, each a module; today there is `json`. What the lines of a
block share is put together here, the lines themselves are written by the codec. No sink and no
journal is known here. May import: errors, events, lines, codec.
"""
