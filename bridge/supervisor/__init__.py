"""The supervisor: builds the service from its configuration, starts, changes and stops it.

Here live the service itself (`service`), the thread that starts and reloads it (`control`), the one
that notices when its files change (`following`), what a configuration asks for (`plan`), what runs
by it and how it changes (`running`), tables that patterns mean (`found`, `discovery`), the sinks'
workers (`workers`), open gaps (`gaps`), gaps for what the journal lost (`damage`), the token of
commands (`token`), and what health and metrics show (`snapshot`). May import everything but the
admin endpoint and the command line.
"""

from bridge.supervisor.control import Control
from bridge.supervisor.following import Following
from bridge.supervisor.plan import make_plan, make_ring, table_shapes
from bridge.supervisor.service import Supervisor
from bridge.supervisor.snapshot import Reloads, Snapshot

__all__ = [
    "Control",
    "Following",
    "Reloads",
    "Snapshot",
    "Supervisor",
    "make_plan",
    "make_ring",
    "table_shapes",
]
