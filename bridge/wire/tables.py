"""What a cluster says of its tables: layouts, identities, and how often they were written.

A table's identity is the catalogue's `oid` or its `created_time`, whichever the cluster says; it
is compared only with what the same cluster said before, in the same form. One table's layout that
is not understood is that table's own trouble. Source: protocol, section 2.1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.events import Schema
from bridge.wire.types import parse_schema


class Facts(NamedTuple):
    """What a cluster says of one table beside its layout.

    Attributes:
        name: the qualified name.
        type_id: of its layout.
        identity: `oid:<number>` or `created:<time>`, "" where the cluster does not say; what is
            kept of it may have both, with `|` between them.
        write_count: how often it was written; None where the cluster does not say.
        last_write_time: when, as the cluster writes it; "" where it does not say.
        alter_count: how often it was altered; None where the cluster does not say.
    """

    name: str
    type_id: str
    identity: str = ""
    write_count: int | None = None
    last_write_time: str = ""
    alter_count: int | None = None


_UNKNOWN = Facts("", "")


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What `/show/table` says of one table.

    Attributes:
        schema: its layout, None where it is not understood; `trouble` then says why.
        rows: how many it has, where that was asked for.
    """

    name: str
    schema: Schema | None
    rows: int | None = None
    trouble: str | None = None
    facts: Facts = _UNKNOWN


def made_again(before: str, now: str) -> bool:
    """Whether two identities, said by one cluster, are of different tables.

    What is unknown, or said in another form, proves nothing.

    >>> made_again("oid:7", "oid:9"), made_again("oid:7", "created:2026"), made_again("", "oid:9")
    (True, False, False)
    >>> made_again("oid:7|created:2025", "created:2026")
    True
    """
    known, said = _forms(before), _forms(now)
    return any(known[form] != said[form] for form in known.keys() & said.keys())


def all_forms(before: str, now: str) -> str:
    """Return an identity in each form in which it was said, as it was said last.

    A cluster that refuses its catalogue for a while says it in the other form.

    >>> all_forms("oid:7", "created:2026"), all_forms("", "oid:9")
    ('oid:7|created:2026', 'oid:9')
    """
    forms = _forms(before) | _forms(now)
    return "|".join(f"{form}:{value}" for form, value in forms.items())


def _forms(identity: str) -> dict[str, str]:
    parts = (part.partition(":") for part in identity.split("|"))
    return {form: value for form, _, value in parts if value}


def read_tables(
    reply: Mapping[str, Any], schema: str, wanted: Collection[str] | None = None
) -> dict[str, TableInfo]:
    """Return the tables of a reply of `/show/table` by qualified name.

    Args:
        reply: its payload.
        schema: that was asked for; children are listed with or without it.
        wanted: the only ones to be parsed; None for all.
    """
    return {
        facts.name: _info(reply, i, facts, sizes=reply.get("full_sizes") or ())
        for i, facts in _listed(reply, schema)
        if wanted is None or facts.name in wanted
    }


def read_facts(reply: Mapping[str, Any], schema: str, wanted: Collection[str]) -> dict[str, Facts]:
    """Return what a reply of `/show/table` says of the wanted tables beside their layouts."""
    return {facts.name: facts for _, facts in _listed(reply, schema) if facts.name in wanted}


def _listed(reply: Mapping[str, Any], schema: str) -> list[tuple[int, Facts]]:
    info: Sequence[Mapping[str, str]] = reply.get("additional_info") or ()
    found = []
    for i, name in enumerate(reply["table_names"]):
        type_id = reply["type_ids"][i]
        if type_id:  # a schema among its children has no layout
            full = name if "." in name or not schema else f"{schema}.{name}"
            found.append((i, _facts(full, type_id, info[i] if i < len(info) else {})))
    return found


def _facts(name: str, type_id: str, info: Mapping[str, str]) -> Facts:
    created = info.get("created_time")
    return Facts(
        name,
        type_id,
        f"created:{created}" if created else "",
        number(info.get("write_count")),
        info.get("last_write_time") or "",
        number(info.get("alter_count")),
    )


def _info(reply: Mapping[str, Any], i: int, facts: Facts, sizes: Sequence[int]) -> TableInfo:
    rows = sizes[i] if i < len(sizes) else None
    try:
        schema = parse_schema(facts.type_id, reply["type_schemas"][i], reply["properties"][i])
    except (ValueError, TypeError, AttributeError) as error:
        trouble = f"the layout of {facts.name} is not understood: {error}"
        return TableInfo(facts.name, None, rows, trouble, facts)
    return TableInfo(facts.name, schema, rows, None, facts)


def number(text: object) -> int | None:
    """Return a count as the cluster writes it, None where it says none.

    >>> number("12"), number(12), number(""), number(None)
    (12, 12, None, None)
    """
    try:
        return int(str(text))
    except ValueError:
        return None
