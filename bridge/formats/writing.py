"""Rows as lines of JSON, along a template: what the codec is asked for, and what it gives."""

from __future__ import annotations

from bridge.codec import Form, Template
from bridge.formats.base import Rows
from bridge.formats.shape import form_of
from bridge.lines import JSON, Attributes, Lines


def write(
    rows: Rows,
    template: Template,
    *,
    form: Form | None = None,
    key_template: Template | None = None,
    content_type: str = JSON,
    attributes: Attributes | None = None,
) -> Lines:
    """Write each row as the template says.

    Args:
        rows: what is written.
        template: what a line is made of.
        form: how, where it is not as the table's shape has it.
        key_template: what a key is made of, if it is more than its object.
        content_type: of each value.
        attributes: what goes beside them.

    Raises:
        DecodeError: the bytes are no records of the layout.
        Retry: the shape does not fit the layout.
    """
    block = rows.block
    if form is None:
        form = form_of(rows.codec, block.table, rows.shape, keyed=rows.keyed)
    buffer, ends, keys, key_ends = form.lines(
        rows.payload,
        rows.count,
        template=template,
        first=rows.first,
        times=rows.times,
        key_template=key_template,
    )
    return Lines(
        rows.journal_id,
        block.table,
        block.type,
        rows.first,
        rows.times,
        buffer,
        ends,
        keys,
        key_ends,
        content_type,
        attributes=attributes,
    )
