"""Columns are picked, named and masked by the table and then by the sink, in the key as well."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge.codec import Member, Slot, compile_schema
from bridge.codec.fallback import FallbackCodec
from bridge.errors import Retry
from bridge.events import Column, Schema
from bridge.formats.shape import PLAIN, Shape, Stage, form_of, key_of, members_of
from tests.unit.codec.test_equality import encode, outcome, rows_of, run_times, schemas

TABLE = "ki_home.people"
SCHEMA = Schema(
    "1",
    (
        Column("id", "int", "int"),
        Column("email", "string", "string", True),
        Column("note", "string", "string"),
    ),
    ("id",),
)
ROW = {"id": 7, "email": "a@b.example", "note": "hi"}


def shaped(*stages: Stage, key: tuple[str, ...] | None = None) -> tuple[Any, Any]:
    """The row and its key as these stages leave them."""
    form = form_of(compile_schema(SCHEMA), TABLE, Shape(key, stages=stages), keyed=True)
    (payload,) = encode(SCHEMA, [ROW])
    written = form.lines(payload, 1, template=(Slot.RECORD,), first=0, times=((1, 0),))
    return json.loads(written.lines), json.loads(written.keys or b"null")


def hashed(text: str, key: bytes) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def test_without_a_stage_a_row_is_as_it_is() -> None:
    """In wire order, with the primary key."""
    assert shaped() == (ROW, {"id": 7})


def test_columns_come_in_the_order_in_which_they_are_named() -> None:
    """And no others; a name that the table lacks is passed over."""
    record, key = shaped(Stage(columns=("note", "absent", "id")))

    assert (list(record.items()), key) == ([("note", "hi"), ("id", 7)], {"id": 7})


def test_a_key_has_the_new_names_and_the_masks() -> None:
    """It is made after shaping."""
    stage = Stage(rename=(("id", "number"),), mask=(("id", "hash"),), mask_key=b"k")

    record, key = shaped(stage)

    assert key == {"number": hashed("7", b"k")}
    assert record == {"number": hashed("7", b"k"), "email": "a@b.example", "note": "hi"}


def test_names_within_a_stage_are_those_that_come_in() -> None:
    """A mask beside a rename names the old name; two names may change places."""
    stage = Stage(
        exclude=("id",),
        rename=(("email", "note"), ("note", "email")),
        mask=(("email", "redact"),),
    )

    assert shaped(stage, key=("note",)) == ({"note": "***", "email": "hi"}, {"email": "hi"})


def test_a_sink_picks_among_what_the_table_has_left() -> None:
    """Under the names that the table gave."""
    table = Stage(exclude=("note",), rename=(("email", "mail"),))
    sink = Stage(columns=("mail", "note", "id"), rename=(("mail", "contact"),))

    record, _ = shaped(table, sink)

    assert record == {"contact": "a@b.example", "id": 7}


def test_the_first_mask_wins() -> None:
    """A sink neither undoes a table's mask nor hashes a hash."""
    table = Stage(mask=(("email", "hash"),), mask_key=b"table's")
    sink = Stage(mask=(("email", "redact"), ("note", "hash")), mask_key=b"sink's")

    record, _ = shaped(table, sink)

    assert record == {
        "id": 7,
        "email": hashed("a@b.example", b"table's"),
        "note": hashed("hi", b"sink's"),
    }


@pytest.mark.parametrize(
    "stages",
    [
        (Stage(rename=(("email", "note"),)),),
        (Stage(rename=(("email", "x"), ("note", "x"))),),
        (Stage(columns=("id", "id")),),
        # The second would be lost, if it were looked at after the last stage alone.
        (Stage(rename=(("email", "note"),)), Stage(columns=("id", "note"))),
    ],
)
def test_two_columns_of_one_name_wait(stages: tuple[Stage, ...]) -> None:
    """No value hides another's."""
    with pytest.raises(Retry, match="two columns would be named"):
        members_of(SCHEMA, Shape(stages=stages))


@pytest.mark.parametrize("stage", [Stage(exclude=("id",)), Stage(columns=("note",))])
def test_a_key_that_shaping_leaves_out_waits(stage: Stage) -> None:
    """And says what to do."""
    with pytest.raises(Retry, match="has id, which shaping leaves out; keep what it has, or give"):
        key_of(TABLE, SCHEMA, Shape(stages=(stage,)))


def test_a_key_of_other_columns_is_the_way_out() -> None:
    """Where the primary key must not be seen."""
    stage = Stage(exclude=("id",))

    assert shaped(stage, key=("email",)) == (
        {"email": "a@b.example", "note": "hi"},
        {"email": "a@b.example"},
    )


def test_who_wants_no_key_may_leave_it_out() -> None:
    """A file has none."""
    shape = Shape(stages=(Stage(exclude=("id",)),))

    form = form_of(compile_schema(SCHEMA), TABLE, shape, keyed=False)

    assert [column.name for column in form.record] == [b'"email":', b'"note":']


def test_the_key_of_hashes_is_in_no_repr() -> None:
    """Neither of a stage nor of a shape nor of its members."""
    shape = Shape(stages=(Stage(mask=(("email", "hash"),), mask_key=b"not to be seen"),))

    assert "not to be seen" not in repr((shape, members_of(SCHEMA, shape)))


def test_a_plain_shape_asks_for_the_plain_form() -> None:
    """So that tables without shaping share one."""
    codec = compile_schema(SCHEMA)

    assert form_of(codec, TABLE, PLAIN, keyed=False) is codec.form()


def stages_of(names: list[str]) -> st.SearchStrategy[Stage]:
    name = st.sampled_from(names)
    some = st.lists(name, unique=True, max_size=4).map(tuple)
    masks = st.dictionaries(name, st.sampled_from(["hash", "redact"]), max_size=3)
    return st.builds(
        Stage,
        columns=st.none() | some,
        exclude=some,
        rename=st.dictionaries(name, name, max_size=3).map(lambda names: tuple(names.items())),
        mask=masks.map(lambda masks: tuple(masks.items())),
        mask_key=st.binary(max_size=80),
    )


def applied(row: dict[str, Member], stage: Stage) -> dict[str, Member] | None:
    """The rules of a stage in their own words; None where two come to one name."""
    rename, mask = dict(stage.rename), dict(stage.mask)
    names = list(row) if stage.columns is None else [n for n in stage.columns if n in row]
    left: dict[str, Member] = {}
    for name in names:
        if name in stage.exclude:
            continue
        new, member = rename.get(name, name), row[name]
        if new in left:
            return None
        if member.mask is None and name in mask:
            member = member._replace(mask=mask[name], mask_key=stage.mask_key)
        left[new] = member._replace(name=new)
    return left


@given(data=st.data())
def test_any_shape_of_any_layout_is_one_in_c_and_without(data: st.DataObject) -> None:
    """As lines, as keys and as CSV; and it is the shape that the rules give."""
    native = pytest.importorskip("bridge.codec.native").NativeCodec
    schema = data.draw(schemas())
    names = [column.name for column in schema.columns]
    stages = data.draw(st.lists(stages_of([*names, "new"]), max_size=2))
    rows = data.draw(st.lists(rows_of(schema), max_size=3))
    key = tuple(data.draw(st.lists(st.sampled_from(names), unique=True, max_size=2)))
    shape = Shape(key, data.draw(st.sampled_from(["declared", "kinetica"])), tuple(stages))

    wanted: dict[str, Member] | None = {name: Member(name, name) for name in names}
    for stage in stages:
        wanted = None if wanted is None else applied(wanted, stage)
    if wanted is None:
        with pytest.raises(Retry, match="two columns"):
            members_of(schema, shape)
        return
    assert members_of(schema, shape) == tuple(wanted.values())
    keyed = set(key) <= {member.column for member in wanted.values()}
    payload = b"".join(encode(schema, rows))
    for template in ((Slot.RECORD,), (Slot.CSV,), (Slot.RECORD, Slot.OFFSET, Slot.CSV)):
        asked = {"template": template, "first": 5, "times": run_times(len(rows))}
        one, other = (
            outcome(
                form_of(codec(schema), TABLE, shape, keyed=keyed),
                "lines",
                payload,
                len(rows),
                **asked,
            )
            for codec in (native, FallbackCodec)
        )
        assert one == other


def test_a_mask_that_meets_no_column_is_logged_once() -> None:
    """Its column may have been renamed, and would go out as it is."""
    schema = Schema("1", (Column("mail", "string", "string"),))
    shape = Shape(stages=(Stage(mask=(("email", "redact"),)),))
    with capture_logs() as logs:
        for _ in range(2):
            assert [member.mask for member in members_of(schema, shape)] == [None]
    assert [(line["event"], line["columns"], line["given"]) for line in logs] == [
        ("shaped_columns_missing", ["email"], ["mail"])
    ]
