"""Writes records as JSON: the bridge's codec, and the vendor's decoder with `json.dumps`.

    transcode_program.py LAYOUT AVRO ROUNDS

LAYOUT, what `Column` takes for each column, and AVRO are JSON; the records come on stdin, in
hexadecimal, one a line. Prints the seconds of CPU time that each round took, by contender. The
bridge writes whole event lines where its codec can, else the records alone.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from gpudb.protocol import RecordType

from bridge.codec import Slot, compile_schema
from bridge.events import Column, Schema

_NOW = 1_795_423_320_123_456
_REPEAT = 10


def by_bridge(layout: Sequence[Sequence[Any]], frames: Sequence[bytes]) -> Callable[[], object]:
    codec: Any = compile_schema(Schema("1", tuple(Column(*each) for each in layout)))
    payload, count = b"".join(frames), len(frames)
    template = (
        b'{"id":"9f86d081884c7d65-',
        Slot.OFFSET,
        b'","type":"insert","table":"ki_home.orders","cluster":"http://kinetica-a:9191","time":"',
        Slot.TIME,
        b'","offset":',
        Slot.OFFSET,
        b',"record":',
        Slot.RECORD,
        b"}",
    )
    form, times = codec.form(), ((count, _NOW),)
    return lambda: form.lines(payload, count, template=template, first=1_000_000, times=times)


def by_vendor(avro: str, frames: Sequence[bytes]) -> Callable[[], object]:
    decode = RecordType.from_type_schema("", avro, {}).decode_records

    def write() -> object:
        return [json.dumps(dict(decode(frame)[0].items()), default=_text) for frame in frames]

    return write


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def main() -> None:
    layout, avro, rounds = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    frames = [bytes.fromhex(line) for line in sys.stdin]
    bridge, vendor = by_bridge(layout, frames), by_vendor(avro, frames)
    contenders = {"bridge": bridge, "bridge again": bridge, "vendor": vendor}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            work = contenders[name]
            begun = time.process_time()
            for _ in range(_REPEAT):
                work()
            if number:  # the first round warms up
                taken[name].append((time.process_time() - begun) / _REPEAT)
    print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
