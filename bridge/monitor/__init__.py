"""Table monitors: one per table, entries out.

Here live the polling thread (`subscriber`), the thread that validates what it received and
hands entries on (`intake`), a table's state (`table`, `states`), and the thread that looks
after all tables through Kinetica's HTTP API (`watch`, `probe`, `establish`). Where entries
go is unknown here: the monitor is given a callable. May import: errors, events, wire,
codec. The only room, with the emulator, that imports `zmq`.
"""
