"""Tables read to deliver what was, or may have been, missed.

Here live the pages of a table (`pages`) and the index on disk of what was received (`received`).
When a span begins and ends, and from where a column is read, is the monitor's; the journal lends
what was received (`bridge.history`). May import: monitor, codec, wire, types, events, errors, loop.
"""
