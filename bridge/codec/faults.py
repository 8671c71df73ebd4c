"""What can be wrong with a record's bytes, and how an error says it.

Both implementations report a fault as (fault, offset, column), so that their errors are
equal to the last word. An offset is where the value (or the varint before it) begins that
went wrong; for text, its first sequence that is not UTF-8; for bytes left over, the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from bridge.errors import DecodeError
from bridge.events import Column


class Fault(StrEnum):
    """A kind of damage; the names are those that the compiled module reports."""

    TRUNCATED = "truncated"
    BEYOND_32_BITS = "beyond_32_bits"
    BEYOND_64_BITS = "beyond_64_bits"
    UNION_INDEX = "union_index"
    NEGATIVE_LENGTH = "negative_length"
    LENGTH = "length"
    TOO_LONG = "too_long"
    NOT_UTF8 = "not_utf8"
    OUT_OF_RANGE = "out_of_range"
    LEFT_OVER = "left_over"


_REASONS = {
    Fault.TRUNCATED: "the bytes end within the value",
    Fault.BEYOND_32_BITS: "a number of more than 32 bits",
    Fault.BEYOND_64_BITS: "a number of more than 64 bits",
    Fault.UNION_INDEX: "neither a value (0) nor null (1)",
    Fault.NEGATIVE_LENGTH: "a negative length",
    Fault.LENGTH: "a length of more bytes than are left",
    Fault.NOT_UTF8: "text that is not UTF-8",
}


def decode_error(
    columns: Sequence[Column], index: int, offset: int, fault: str, column: int
) -> DecodeError:
    """Put a fault in words.

    Args:
        columns: the schema's.
        index: which record, from 0.
        offset: the byte within it.
        fault: the value of a `Fault`.
        column: which column, from 0; of no meaning for bytes left over.
    """
    kind = Fault(fault)
    if kind is Fault.LEFT_OVER:
        return DecodeError(index, offset, "bytes left over after the last column")
    culprit = columns[column]
    if kind is Fault.TOO_LONG:
        reason = f"text of more bytes than {culprit.type} holds"
    elif kind is Fault.OUT_OF_RANGE:
        reason = f"a number out of the range of {culprit.type}"
    else:
        reason = _REASONS[kind]
    return DecodeError(index, offset, f"column {culprit.name}: {reason}")
