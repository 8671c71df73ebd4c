"""A table's layout as the text of a mark, which outlives a restart."""

from __future__ import annotations

import json

from bridge.events import Column, Schema


def schema_to_json(schema: Schema | None) -> str:
    """Return what `schema_from_json` reads."""
    return json.dumps(
        schema
        and {
            "type_id": schema.type_id,
            "columns": [[c.name, c.base, c.type, c.nullable] for c in schema.columns],
            "primary_key": schema.primary_key,
        }
    )


def schema_from_json(text: str) -> Schema | None:
    """Return the layout of an earlier run; None where there was no table."""
    saved = json.loads(text)
    return saved and Schema(
        saved["type_id"],
        tuple(Column(*column) for column in saved["columns"]),
        tuple(saved["primary_key"]),
    )
