"""Table monitors: one per table, entries out; and the client that makes callbacks of them.

Here live the polling thread (`subscriber`), which receives and validates blocks (`receiver`), the
thread that makes entries of them (`intake`), a table's state (`table`, `states`), and the thread
that looks after all tables through Kinetica's HTTP API (`watch`, `probe`, `care`). Where entries go
is unknown to them: they are given a callable. The service gives its journal; the library, whose
names stand below, gives callbacks (`client`, `session`, `dispatch`). May import: errors, events,
loop, types, wire, codec. The only room, with the emulator, that imports `zmq`.
"""

from bridge.monitor.callbacks import Callback
from bridge.monitor.client import Client
from bridge.monitor.gpudb_names import GPUdbTableMonitor
from bridge.monitor.options import Options
from bridge.monitor.session import MonitoringAborted, NotLive

__all__ = [
    "Callback",
    "Client",
    "GPUdbTableMonitor",
    "MonitoringAborted",
    "NotLive",
    "Options",
]
