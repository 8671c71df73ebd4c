"""What is configured of one sink: it as such, its settings, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from bridge.delivery.policy import Rules
from bridge.formats.base import Output
from bridge.loop import backoff
from bridge.sinks.base import Sink, SinkSettings

# A lane that waits rests for the others' sake no longer than so many of the longest pauses.
_REST_PAUSES = 10


@dataclass(frozen=True, slots=True)
class Job:
    """What is configured of one sink.

    Attributes:
        sink: made, and not open.
        settings: of it.
        tables: those routed to it; nothing else is delivered.
        output: the form that it wants.
    """

    sink: Sink
    settings: SinkSettings
    tables: frozenset[str]
    output: Output

    @property
    def rules(self) -> Rules:
        """The numbers of the policy as they are configured."""
        retry = self.settings.retry
        pause = partial(backoff, first=retry.initial_backoff, longest=retry.max_backoff)
        return Rules(retry.max_attempts, pause, longest_rest=_REST_PAUSES * retry.max_backoff)
