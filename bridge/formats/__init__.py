"""Formats: from an entry to the lines that sinks get.

Here live the contract (`base`), the forms that events can take, each a module that knows no
other, how a table's rows are shaped before (`shape`), and which form settings ask for (`making`).
The lines themselves are written by the codec. No sink and no journal is known here. May import:
errors, events, lines, codec.
"""
