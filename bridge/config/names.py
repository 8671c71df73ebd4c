"""The names of tables as settings: one table, or a pattern that means those of a schema.

A name with `*` or `?` in it is a pattern. In a pattern `[…]` is a set of characters; in a plain
name Kinetica allows brackets, and they mean themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

# As `bridge.wire.calls` has it, which brings an HTTP client: too much to read a file.
_DEFAULT_SCHEMA = "ki_home"
# Source: Kinetica's naming criteria.
_LONGEST = 200
_QUOTES = frozenset("\"'`")


def is_pattern(name: str) -> bool:
    """Say whether a name is a pattern.

    >>> is_pattern("ki_home.*"), is_pattern("ki_home.orders")
    (True, False)
    """
    return "*" in name or "?" in name


def qualified(name: str) -> str:
    """Return a name with its schema, the default one where it names none.

    >>> qualified("orders")
    'ki_home.orders'
    """
    return name if "." in name else f"{_DEFAULT_SCHEMA}.{name}"


def table_name(name: str) -> str:
    """Check the name of a table, or a pattern.

    Raises:
        ValueError: no table can have it; with the cure.

    >>> table_name("ki_home.orders")
    'ki_home.orders'
    """
    schema, dot, table = name.rpartition(".")
    if is_pattern(name) and not dot:
        raise ValueError(f'a pattern needs its schema: write "ki_home.{name}", say')
    if is_pattern(schema):
        raise ValueError(f'the schema of a pattern must be spelt out: write "ki_home.{table}", say')
    for part in (schema, table) if dot else (name,):
        _check_part(name, part)
    return name


def _check_part(name: str, part: str) -> None:
    if not part:
        raise ValueError(
            f'"{name}" is no name of a table; write SCHEMA.TABLE, such as ki_home.orders'
        )
    if "." in part:
        raise ValueError(
            f'"{name}" has more than one dot; write SCHEMA.TABLE, such as ki_home.orders'
        )
    wrong = next((c for c in part if c.isspace() or not c.isprintable() or c in _QUOTES), None)
    if wrong is not None:
        what = "a space" if wrong == " " else f"the character {wrong!r}"
        raise ValueError(
            f'"{name}" holds {what}, which no table\'s name can have; '
            "write it as Kinetica lists it, without quotes"
        )
    if len(part) > _LONGEST:
        raise ValueError(f"no table's name has more than {_LONGEST} characters")


def matches(name: str, pattern: str, excepted: Collection[str]) -> bool:
    """Say whether a pattern means a table.

    Args:
        name: the table's qualified name.
        pattern: with its schema.
        excepted: names and patterns that it does not mean; without a schema, of the pattern's.

    >>> matches("s.orders", "s.*", []), matches("s.tmp_1", "s.*", ["tmp_*"])
    (True, False)
    """
    schema, _, wanted = pattern.rpartition(".")
    of, _, table = name.rpartition(".")
    if of != schema or not fnmatchcase(table, wanted):
        return False
    return not any(fnmatchcase(table, one.rpartition(".")[2]) for one in excepted)
