"""Delivery: a worker and a cursor per sink, so that none waits for another.

Here live the turning of entries into events (`rendering`), batching (`backlog`), retries
and the isolation of poison events (`attempts`), and the thread that ties them to one sink
(`worker`). What a destination is stays in its sink; when a worker runs is the supervisor's
business. May import: errors, events, codec, journal, formats, and of the sinks the contract
alone.
"""
