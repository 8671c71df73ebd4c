"""What a column type means, said once: bounds, order, identity, JSON form, SQL constant.

A column has a base type, which says what stands on the wire (`string`), and a declared one,
which says what it means (`decimal(10,2)`). `type_of` reads both into a `Type`; the codec, the
monitor and the formats ask that. Source: protocol, section 5.2.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from bridge.events import Column

_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)
_UNBOUNDED = (0, 2**63 - 1)
_BOUNDS = {"int": _INT, "long": _LONG}
_SMALL_INTS = {"int8": (-(2**7), 2**7 - 1), "int16": (-(2**15), 2**15 - 1)}

BASE_TYPES = frozenset({"int", "long", "float", "double", "string", "bytes"})

# Declared types by the base type that carries them; a parameter list may follow the name.
DECLARED_TYPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "int": frozenset({"boolean", "int8", "int16"}),
        "long": frozenset({"timestamp"}),
        "string": frozenset(
            {"date", "time", "datetime", "decimal", "ulong", "ipv4", "uuid", "json", "array", "wkt"}
            | {f"char{n}" for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)}
        ),
        "bytes": frozenset({"vector", "wkt"}),
    }
)

_PROPERTY = re.compile(r"([a-z0-9]+)(?:\([ -~]*\))?")
_CHAR = re.compile(r"char([0-9]+)")


class JsonForm(StrEnum):
    """How a value is written in JSON; the compiled codec knows them by the same names."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    FLOAT = "float"
    DOUBLE = "double"
    TEXT = "text"
    DATETIME = "datetime"
    ULONG = "ulong"
    JSON = "json"
    VECTOR = "vector"
    BASE64 = "base64"


class Order(StrEnum):
    """How a type's values are ordered; what is no value of the type stands below all others."""

    NUMBER = "number"  # as they are on the wire
    FLOAT = "float"  # NaN below all
    BYTES = "bytes"
    MOMENT = "moment"  # text of a time, whatever zeros its fraction ends in
    ULONG = "ulong"
    DECIMAL = "decimal"
    IPV4 = "ipv4"
    UUID = "uuid"


@dataclass(frozen=True, slots=True)
class Type:
    """A column type, read.

    Attributes:
        base: int, long, float, double, string or bytes.
        family: the declared type without its size or parameters (`decimal`, `char`), the base
            type where nothing finer is declared.
        parameters: what stands in the parentheses (`10`, `2`), or the size (`16` of `char16`).
        low: the least value of an int or long; 0 for the others.
        high: the greatest value of an int or long, the most bytes of a string or bytes.
        order: how its values are ordered.
        declared: the JSON form of what the type means.
        kinetica: the JSON form that Kinetica sends.
    """

    base: str
    family: str
    parameters: tuple[str, ...]
    low: int
    high: int
    order: Order
    declared: JsonForm
    kinetica: JsonForm


_JSON_BY_BASE = {
    "int": JsonForm.NUMBER,
    "long": JsonForm.NUMBER,
    "float": JsonForm.FLOAT,
    "double": JsonForm.DOUBLE,
    "string": JsonForm.TEXT,
    "bytes": JsonForm.BASE64,
}
_JSON_BY_FAMILY = {
    ("int", "boolean"): JsonForm.BOOLEAN,
    ("long", "timestamp"): JsonForm.TIMESTAMP,
    ("string", "datetime"): JsonForm.DATETIME,
    ("string", "ulong"): JsonForm.ULONG,
    ("string", "json"): JsonForm.JSON,
    ("string", "array"): JsonForm.JSON,
    ("bytes", "vector"): JsonForm.VECTOR,
}
_ORDER_BY_BASE = {
    "int": Order.NUMBER,
    "long": Order.NUMBER,
    "float": Order.FLOAT,
    "double": Order.FLOAT,
    "string": Order.BYTES,
    "bytes": Order.BYTES,
}
_ORDER_BY_FAMILY = {
    "datetime": Order.MOMENT,
    "time": Order.MOMENT,
    "ulong": Order.ULONG,
    "decimal": Order.DECIMAL,
    "ipv4": Order.IPV4,
    "uuid": Order.UUID,
}


@lru_cache(maxsize=4096)
def _parse(base: str, declared: str) -> Type:
    if base not in BASE_TYPES:
        raise ValueError(f"unknown base type {base!r}")
    family, _, rest = declared.partition("(")
    parameters = tuple(rest.removesuffix(")").split(",")) if rest else ()
    low, high = _BOUNDS.get(base, _UNBOUNDED)
    if base == "int":
        low, high = _SMALL_INTS.get(family, _INT)
    elif base == "string" and (char := _CHAR.fullmatch(family)):
        family, parameters, high = "char", (char.group(1),), int(char.group(1))
    order = _ORDER_BY_FAMILY.get(family) if base == "string" else None
    kinetica = _JSON_BY_BASE[base]
    return Type(
        base,
        family,
        parameters,
        low,
        high,
        order or _ORDER_BY_BASE[base],
        _JSON_BY_FAMILY.get((base, family), kinetica),
        kinetica,
    )


def type_of(column: Column) -> Type:
    """Read a column's type.

    Raises:
        ValueError: Kinetica has no such base type.

    >>> type_of(Column("price", "string", "decimal(10,2)")).parameters
    ('10', '2')
    """
    try:
        return _parse(column.base, column.type)
    except ValueError as error:
        raise ValueError(f"column {column.name}: {error}") from None


def check_name(name: str) -> None:
    """Refuse a column's name that no UTF-8, and so no event, can hold.

    Raises:
        ValueError: it has a lone surrogate.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"column {name!r}: a name with a lone surrogate is no text") from None


def declared_type(base: str, properties: Sequence[str]) -> str:
    """Return the declared type among a column's properties, the base type if there is none.

    >>> declared_type("string", ["nullable", "decimal(10,2)", "shard_key"])
    'decimal(10,2)'
    >>> declared_type("int", ["primary_key"])
    'int'
    """
    known = DECLARED_TYPES.get(base, frozenset())
    for text in properties:
        found = _PROPERTY.fullmatch(text)
        if found and found.group(1) in known:
            return text.replace(" ", "")
    return base


def _moment(text: str) -> str:
    head, point, digits = text.partition(".")
    digits = digits.rstrip("0")
    return (f"{head}.{digits}" if point and digits else head).replace("T", " ", 1)


def _decimal(text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    # Written out, 1e999999 would be a million digits; Kinetica has 27.
    if not value.is_finite() or abs(value.adjusted()) > 1000:
        return text
    return format(value.normalize(), "f")


def _uuid(text: str) -> str:
    return text.replace("-", "").lower()


def _finite(text: str) -> float:
    # Two numbers beyond a double are not equal for that.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _json(text: str) -> str:
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return text


_CANONICAL: Mapping[str, Callable[[str], str]] = {
    "datetime": _moment,
    "time": _moment,
    "decimal": _decimal,
    "uuid": _uuid,
    "json": _json,
    "array": _json,
}


def canonical(column: Column) -> Callable[[str], str] | None:
    """Return what brings a value to the one text that equal values share; None: it is that.

    Kinetica may write a value differently in a notification than in a read (protocol, section
    4.5: a `datetime` with six digits of fraction, where the column keeps three).
    """
    return _CANONICAL.get(type_of(column).family) if column.base == "string" else None


_ULONG_DIGITS = 20
_ULONG_MAX = 2**64 - 1


def ulong(text: str) -> int | None:
    """Read digits as the 64-bit number they are; None where they are none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _ULONG_DIGITS):
        return None
    number = int(text)
    return number if number <= _ULONG_MAX else None


def _decimal_order(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return Decimal("-Infinity")
    return value if value.is_finite() else Decimal("-Infinity")


_IPV4 = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})")


def _ipv4_order(text: str) -> int:
    found = _IPV4.fullmatch(text)
    octets = list(map(int, found.groups())) if found else [256]
    return int.from_bytes(bytes(octets), "big") if max(octets) < 256 else -1


def _ulong_order(text: str) -> int:
    value = ulong(text)
    return -1 if value is None else value


_COMPARABLE: Mapping[Order, Callable[[Any], Any]] = {
    Order.FLOAT: lambda value: -math.inf if math.isnan(value) else value,
    Order.MOMENT: _moment,
    Order.ULONG: _ulong_order,
    Order.DECIMAL: _decimal_order,
    Order.IPV4: _ipv4_order,
    Order.UUID: _uuid,
}


def comparable(column: Column, value: Any) -> Any:
    """Return a wire value as something that orders as the column's values do.

    >>> comparable(Column("n", "string", "ulong"), "10") > comparable(
    ...     Column("n", "string", "ulong"), "9")
    True
    """
    convert = _COMPARABLE.get(type_of(column).order)
    return value if convert is None else convert(value)


def literal(column: Column, value: Any) -> str:
    """Write a wire value as a constant of an expression.

    >>> literal(Column("name", "string", "char8"), "o'clock")
    "'o''clock'"
    """
    if column.base != "string" or type_of(column).family in {"ulong", "decimal"}:
        return str(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"
