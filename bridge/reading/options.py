"""How tables are read: what tests may set otherwise, in one value."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.reading.audit import AuditTimes
from bridge.reading.comparison import Patience
from bridge.reading.moved_rows import UpdateTimes
from bridge.reading.pages import PageLimits
from bridge.reading.whole_read import WholeTimes


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How tables are read.

    Attributes:
        limits: of a page.
        patience: how long rows are waited for.
        audits: when tables are looked at for losses that nobody reported.
        whole: when tables that are read whole are looked at.
        updates: how rows of updates are followed.
    """

    limits: PageLimits = field(default_factory=PageLimits)
    patience: Patience = field(default_factory=Patience)
    audits: AuditTimes = field(default_factory=AuditTimes)
    whole: WholeTimes = field(default_factory=WholeTimes)
    updates: UpdateTimes = field(default_factory=UpdateTimes)
