"""Delivery: a worker per sink, a lane per table, so that none waits for another.

    worker      owns a sink's name, its couriers, and what is configured
    courier     takes the events of some lanes to the destination, one try at a time
    feeds, feed what comes next: read in step, encoded, cut into batches
    encoding    from stored entries to lines, once for all sinks
    attempt     one call to a sink, and what it came to
    verdicts    what becomes of each event: moves of lanes, dead letters, what waits
    policy      what follows from an answer; pure
    lookahead   another event of the table, to tell poison from a destination that is broken

What a destination is stays in its sink; when a worker runs is the supervisor's business. May
import: errors, events, lines, loop, codec, journal, formats, and of the sinks the contract alone.
"""
