"""Asking which tables schemas have, for who watches all those of a name's pattern."""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from bridge.errors import ReplyNotUnderstood, RequestRefused
from bridge.wire.calls import Cluster

log = structlog.get_logger()

Discovered = Callable[[str, frozenset[str]], None]


class Listing:
    """Lists schemas, in each round of the watch. Used by the watch's thread.

    Args:
        discovered: called with the names of a schema's tables.
        timeout: seconds to wait for an answer.

    Attributes:
        schemas: those that are listed.
    """

    def __init__(self, discovered: Discovered, timeout: float) -> None:
        self.schemas: Collection[str] = ()
        self._discovered = discovered
        self._timeout = timeout
        self._asked: set[str] = set()
        self._refused: set[str] = set()

    @property
    def asked(self) -> bool:
        """Whether each schema was asked for once. Any thread may ask."""
        return self._asked.issuperset(self.schemas)

    def ask(self, cluster: Cluster) -> None:
        """Tell of the tables of all schemas, as of this moment.

        One that the cluster does not list harms no other.

        Raises:
            BridgeError: the cluster cannot be asked.
        """
        for schema in self.schemas:
            try:
                names = cluster.names(schema, self._timeout)
            except (RequestRefused, ReplyNotUnderstood) as error:
                if schema not in self._refused:
                    log.warning("schema_refused", schema=schema, cause=str(error))
                self._refused.add(schema)
            else:
                self._refused.discard(schema)
                self._discovered(schema, names)
            self._asked.add(schema)  # last: what was found is on its way to be taken over
