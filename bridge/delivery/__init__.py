"""Delivery: a worker per sink, a lane per table, so that none waits for another.

A batch on its way, and where to look:

    worker     owns a sink's name; brings what is configured under it to couriers
    courier    the loop: one try after another of what comes next, or is due again
    batches    where a batch is made, out of feeds (`feed`: read in step, encoded, cut to size)
    ahead      what comes next is encoded while a sink is at work
    encoding   from stored entries to lines, once for all sinks that want the same
    lane       where one table stands, and what a batch has of it
    calls      where the sink is called: open, deliver, idle, close
    policy     what follows from an answer: again, later, apart, poison; pure
    verdicts   where an outcome is judged and a lane's cursor moves, event by event
    ledger     where moves are written to the journal
    troubled   lanes in which something waits: tried alone, proven, skipped by hand
    health     what is shown and logged

What a destination is stays in its sink; when a worker runs is the supervisor's business. May
import: errors, events, lines, loop, codec, journal, formats, and of the sinks the contract alone.
"""
