"""How servers of one protocol differ: by their age, and where the documents leave it open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal


@dataclass(slots=True)
class Traits:
    """What kind of server an emulated cluster is; may be changed at any time, outlives `heal`.

    Attributes:
        access_data: what `/show/table` makes of the option `get_access_data`: `told`; `refused`
            as a parameter it does not know; `ignored`.
        ki_objects: whether SQL knows `ki_catalog.ki_objects`.
        topics: which topic a monitor made under an id gets: that id as it is `asked`; that id
            `qualified` by the topics' schema; `other`, a random one in that schema.
        topic_schema: the schema of topics that the cluster makes up or qualifies.
        listed: how `/show/tablemonitors` names a monitor: by its `topic`; by its topic
            `unqualified`; by the id that was `asked` for.
        monitors: False where table monitors are switched off: the port it tells is -1.
        clock_offset: seconds by which the server's wall clock is ahead of this machine's.
    """

    access_data: Literal["told", "refused", "ignored"] = "told"
    ki_objects: bool = True
    topics: Literal["asked", "qualified", "other"] = "asked"
    topic_schema: str = "ki_home"
    listed: Literal["topic", "unqualified", "asked"] = "topic"
    monitors: bool = True
    clock_offset: float = 0.0

    def now(self) -> float:
        """Return the server's wall clock: seconds since 1970."""
        return time.time() + self.clock_offset

    def moment(self) -> datetime:
        """Return the server's wall clock as a UTC time."""
        return datetime.fromtimestamp(self.now(), UTC)
