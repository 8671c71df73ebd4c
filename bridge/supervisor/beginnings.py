"""Where a sink that is new begins: `from` in its settings, as an offset of the journal."""

from __future__ import annotations

from bridge.journal import Journal
from bridge.sinks.base import SinkSettings
from bridge.units import parse_moment


def begin_of(journal: Journal, name: str, settings: SinkSettings) -> int | None:
    """Return the offset at which the lanes of a sink begin, None for the head.

    A sink that the journal knows has begun: its new tables begin at the head.

    Args:
        journal: open.
        name: the sink's id.
        settings: of the sink.

    Raises:
        JournalError: the journal cannot be read just now.
    """
    wanted = settings.from_
    if wanted == "now" or name in journal.sinks():
        return None
    return 0 if wanted == "oldest" else journal.offset_at(parse_moment(wanted))
