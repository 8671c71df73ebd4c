"""Records written by a codec as JSON objects and nothing else."""

from __future__ import annotations

from typing import Any

from bridge.codec import Codec, Slot


def objects(codec: Codec, payload: bytes, count: int, **how: Any) -> list[bytes]:
    """Return each record as the JSON object that a form writes: no envelope, no line feed."""
    times = ((count, 0),)
    form = codec.form(**how)
    written = form.lines(payload, count, template=(Slot.RECORD,), first=0, times=times)
    return written.lines.splitlines()
