"""Requests of the sink `webhook`: how events become the body of one, and what it says of itself.

Source: CloudEvents 1.0, its JSON format and its HTTP binding, sections 3.1 to 3.3.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bridge.formats.settings import FormatName
from bridge.lines import JSON, Slice

CLOUDEVENTS_BATCH = "application/cloudevents-batch+json"

# Printable ASCII but the blank, the quotation mark and the percent sign (3.1.3.2).
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True, slots=True)
class Message:
    """What one request carries.

    Attributes:
        id: names these events: that of the first, a dash, how many they are.
        headers: what it says of the body, the type of its content first.
        body: the exact bytes.
        plain: what a receiver has once it has unpacked them.
    """

    id: str
    headers: list[tuple[str, str]]
    body: bytes
    plain: bytes


def message_of(
    slices: Sequence[Slice], form: FormatName, *, alone: bool, compressed: bool
) -> Message:
    """Return some events as one request has them; the same events always the same bytes.

    Args:
        slices: the events; a single one where they go alone.
        form: their format.
        alone: whether a request has one event as it stands, and not an array of them.
        compressed: whether with gzip.
    """
    first = slices[0]
    lines = first.lines
    headers: list[tuple[str, str]] = []
    if not alone:
        headers.append(("Content-Type", JSON if form == "json" else CLOUDEVENTS_BATCH))
        # No line feed stands within a line: in JSON text it is escaped.
        joined = b"".join([each.data for each in slices])
        plain = b"[%b]" % joined[:-1].replace(b"\n", b",")
    else:
        headers.append(("Content-Type", lines.content_type))
        if lines.attributes is not None:
            (attributes,) = lines.attributes.of(lines, first.start, first.stop, "ce-")
            headers += [(name, quote(value, safe=_PLAIN)) for name, value in attributes]
        plain = first.event(0).value
    body = plain
    if compressed:
        headers.append(("Content-Encoding", "gzip"))
        body = gzip.compress(plain, 6, mtime=0)
    identity = f"{lines.id(first.start)}-{sum(map(len, slices))}"
    return Message(identity, headers, body, plain)
