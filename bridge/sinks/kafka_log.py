"""What librdkafka says, in few lines: its causes for our errors, and its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError

EVERY = 60.0  # seconds in which lines of one kind are one

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Trouble:
    """What librdkafka last said of its connections; time-outs say nothing of the cause."""

    cause: str = ""
    all_down_since: float | None = None

    def report(self, error: KafkaError) -> None:
        """Take an error; librdkafka's callback."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self.all_down_since is None:
                self.all_down_since = time.monotonic()
        else:
            self.cause = error.str()


class QuietLog:
    """Takes librdkafka's log lines: what it calls errors heals, or is raised by us.

    Without a broker it says the same several times a second. The first line of a kind (its
    facility: `FAIL`, `ERROR`, …) is logged; those that follow within a minute are counted, and
    their number stands in the next one that is logged. It outlives its producers, each of which
    would begin anew.

    Args:
        clean: takes the secrets out of foreign text.
        clock: seconds that only grow.
    """

    def __init__(
        self, clean: Callable[[str], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clean = clean
        self._clock = clock
        self._heard: dict[str, tuple[float, int]] = {}

    def log(self, level: int, _format: str, facility: str, client: str, text: str) -> None:
        """Take a line; what `logging.Logger.log` would be given."""
        if level < 40:
            _log.debug("librdkafka", facility=facility, client=client, detail=self._clean(text))
            return
        now = self._clock()
        since, repeated = self._heard.get(facility, (-EVERY, 0))
        if now - since < EVERY:
            self._heard[facility] = since, repeated + 1
            return
        self._heard[facility] = now, 0
        more = {"repeated": repeated} if repeated else {}
        _log.warning(
            "librdkafka", facility=facility, client=client, detail=self._clean(text), **more
        )
