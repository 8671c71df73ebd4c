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
