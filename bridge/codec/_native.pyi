from collections.abc import Iterable
from typing import Any, final

# Bytes that are no record. `args` is (index, offset, fault, column): which record, the byte
# within it, the value of a `bridge.codec.faults.Fault`, the column's place in the plan (the
# number of columns for bytes left over).
class Malformed(Exception):
    args: tuple[int, int, str, int]

# A table's record layout, compiled. Immutable, for any number of threads.
@final
class Plan:
    # From (name, base, nullable, low, high) of each column in wire order: `low` and `high`
    # bound an int's or long's value, `high` the length of a string or bytes. ValueError: no
    # column, two of one name, or a base that is no Avro type of Kinetica.
    def __new__(cls, operations: Iterable[tuple[str, str, bool, int, int]]) -> Plan: ...

    # Walk frames of one record each to their last byte; what `Malformed` would say of each bad
    # one. Lets go of the GIL from 64 KiB on.
    def validate(self, frames: Iterable[bytes], /) -> list[tuple[int, int, str, int]]: ...

    # A dict of each of the `count` records in a payload. Malformed: the first bad record, or
    # bytes left over, which count as the last one's. ValueError: a negative count.
    def decode(self, payload: bytes, count: int, /) -> list[dict[str, Any]]: ...

    # The bytes of each of the `count` records in a payload. Raises as `decode`.
    def split(self, payload: bytes, count: int, /) -> list[bytes]: ...

# Drains SUB sockets into blocks, in one thread. `drain` lets go of the GIL.
@final
class Receiver:
    def __new__(cls) -> Receiver: ...

    # Find libzmq's functions in the library of this path, which the process must have loaded.
    # OSError: it has not, or the library lacks one.
    @staticmethod
    def load(path: str, /) -> None: ...

    # Take what comes on a topic as records of `plan`, for `route`. Order is kept among the
    # topics of one `table`, a small number. ValueError: the topic is there already.
    def add(self, topic: bytes, plan: Plan, route: Any, table: int, /) -> None: ...

    # Forget a topic; False where it was not there.
    def remove(self, topic: bytes, /) -> bool: ...

    # Receive from the socket at an address until it has nothing, `size` bytes were looked at, or
    # `messages` begun; keep nothing more once `room` is used up. Returns what arrived, blocks as
    # (route, payload, count) and bad frames as (route, frame, offset, fault, column); what was
    # discarded as (route, messages, records, bytes); some of the unknown topics, and how many
    # messages had one; messages begun and bytes of frames; whether a limit ended it; and the
    # number of libzmq's error that did, or 0.
    def drain(
        self, socket: int, size: int, messages: int, room: int, /
    ) -> tuple[
        list[tuple[Any, bytes, int] | tuple[Any, bytes, int, str, int]],
        list[tuple[Any, int, int, int]],
        list[bytes],
        int,
        int,
        int,
        bool,
        int,
    ]: ...
