"""Places named after tables: `{table}`, `{schema}`, `{name}` in a path, a topic, an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

OF_TABLE = ("{table}", "{schema}", "{name}")

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def placeholders(template: str) -> set[str]:
    """Return what stands in braces, braces included.

    >>> sorted(placeholders("a/{table}.{date}"))
    ['{date}', '{table}']
    """
    return set(_PLACEHOLDER.findall(template))


def require_known(template: str, known: Iterable[str] = OF_TABLE) -> None:
    """See that a template has no other placeholders than the known ones.

    Raises:
        ValueError: it has; the message names one, and those that there are.
    """
    known = list(known)
    for placeholder in sorted(placeholders(template) - set(known)):
        raise ValueError(f"unknown placeholder {placeholder}: there are {', '.join(known)}")


def is_of_table(template: str) -> bool:
    """Tell whether tables have places of their own."""
    return not placeholders(template).isdisjoint(OF_TABLE)


def fill(template: str, table: str, encode: Callable[[str], str]) -> str:
    """Put a table's name, encoded, into a template.

    >>> fill("{schema}/{name}.jsonl", "ki_home.orders", str)
    'ki_home/orders.jsonl'
    """
    schema, dot, name = table.partition(".")
    values = {"{table}": table, "{schema}": schema if dot else "", "{name}": name if dot else table}
    # In one pass: a name may look like a placeholder.
    return _PLACEHOLDER.sub(
        lambda match: encode(values[match[0]]) if match[0] in values else match[0], template
    )
