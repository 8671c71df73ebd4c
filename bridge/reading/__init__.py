"""Tables read to deliver what was, or may have been, missed.

Here live the pool that reads (`readers`) and how it chooses (`closing`); a read (`task`) by a
growing column (`by_column`) or from the first row to the last: for a snapshot (`entire`), or held
against a baseline (`whole`, `baseline`, `known`); the rows that updates touched (`update_rows`,
`moved_rows`, `height`); the pages of a table
(`pages`), the index on disk of what was received (`received`), and how the two are held against
each other (`comparison`); and the search for losses that nobody reported (`audit`). When a span
begins and ends, and from where a column is read, is the monitor's; the journal lends what was
received (`bridge.history`). May import: monitor, codec, wire, types, events, errors, loop.
"""

from bridge.reading.audit import AuditTimes
from bridge.reading.comparison import Patience
from bridge.reading.moved_rows import UpdateTimes
from bridge.reading.options import ReadingOptions
from bridge.reading.pages import PageLimits
from bridge.reading.readers import Readers
from bridge.reading.received import History
from bridge.reading.whole_read import WholeTimes

__all__ = [
    "AuditTimes",
    "History",
    "PageLimits",
    "Patience",
    "Readers",
    "ReadingOptions",
    "UpdateTimes",
    "WholeTimes",
]
