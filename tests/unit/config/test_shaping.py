"""What is asked of columns is checked when the file is read: in one place, and along the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config import Config
from bridge.config.redaction import Secrets
from bridge.formats.shape import Stage

TOP = """\
kinetica: {urls: [http://a:9191]}
tables:
  - name: s.t
"""


def _file(table: str = "", sink: str = "") -> str:
    """A table with these settings from line 4 on, and a sink that begins on the line after."""
    rows = [f"    {line}" for line in table.splitlines()]
    rows += ["sinks:", "  out:", "    type: stdout"]
    rows += [f"    {line}" for line in sink.splitlines()]
    return TOP + "\n".join(rows) + "\n"


_NEEDED = "hash needs mask_key beside mask"
_OPENSSL = 'or mask_key_file: a file with what "openssl rand -hex 32" prints'

WRONG: dict[str, tuple[str, str, list[str]]] = {
    "only these, and not those": (
        "columns: [a, b]\nexclude: [c]",
        "",
        [
            (
                "5: tables[0].exclude: columns is given too, which leaves out all others; keep "
                "one of them"
            )
        ],
    ),
    "a column twice": ("columns: [a, a]", "", ['4: tables[0].columns: "a" is given twice']),
    "one left out twice": ("", "exclude: [a, a]", ['7: sinks.out.exclude: "a" is given twice']),
    "no columns at all": ("columns: []", "", ["4: tables[0].columns: must not be empty"]),
    "a column without a name": (
        'exclude: [""]',
        "",
        ["4: tables[0].exclude[0]: must not be empty"],
    ),
    "a new name that is none": (
        'rename: {a: ""}',
        "",
        ["4: tables[0].rename.a: must not be empty"],
    ),
    "two columns to one name": (
        "rename: {a: x, b: x}",
        "",
        ["4: tables[0].rename.b: a is to be named x too; give each a name of its own"],
    ),
    "a name that another column keeps": (
        "columns: [a, b]\nrename: {a: b}",
        "",
        [
            (
                "5: tables[0].rename.a: there is a column b already; rename that one as well, or "
                "leave it out"
            )
        ],
    ),
    "left out and renamed and masked": (
        "exclude: [a]\nrename: {a: b}\nmask: {a: redact}",
        "",
        [
            "5: tables[0].rename.a: exclude leaves a out; take it out of one of them",
            "6: tables[0].mask.a: exclude leaves a out; take it out of one of them",
        ],
    ),
    "masked and not among the columns": (
        "",
        "columns: [a]\nmask: {b: redact}",
        ["8: sinks.out.mask.b: columns does not have b; add it there, or leave this out"],
    ),
    "a hash without a key": (
        "mask: {a: redact, b: hash}",
        "",
        [f"4: tables[0].mask.b: {_NEEDED}, {_OPENSSL}"],
    ),
    "a key of the table's is none of the sink's": (
        "mask: {a: hash}\nmask_key: s3cret",
        "mask: {b: hash}",
        [f"9: sinks.out.mask.b: {_NEEDED}, {_OPENSSL}"],
    ),
    "a key from a variable that is empty": (
        "mask: {a: hash}\nmask_key: ${MASK_KEY:-}",
        "",
        [f"4: tables[0].mask.a: {_NEEDED}, which is empty; give it, {_OPENSSL}"],
    ),
    "an empty key": (
        'mask: {a: hash}\nmask_key: ""',
        "",
        ["5: tables[0].mask_key: must not be empty"],
    ),
    "a key that stands for no bytes": (
        'mask: {a: hash}\nmask_key: "k\\ud800"',
        "",
        ["5: tables[0].mask_key: has a lone surrogate, which no bytes stand for"],
    ),
    "a mask that there is not": (
        "mask: {a: blur}\nmask_key: s3cret",
        "",
        ['4: tables[0].mask.a: must be hash or redact, not "blur"'],
    ),
    "a key that is no text is not shown": (
        "mask: {a: hash}\nmask_key: [s3cret]",
        "",
        ["5: tables[0].mask_key: wanted text, not a list"],
    ),
    "a column of the key that the table leaves out": (
        "key: [a, b]\nexclude: [b]",
        "",
        ["5: tables[0].exclude: leaves out b, which is in key; keep it, or take it out of key"],
    ),
    "a column of the key that is not among the columns": (
        "key: [a]\ncolumns: [b]",
        "",
        ["5: tables[0].columns: leaves out a, which is in key; keep it, or take it out of key"],
    ),
    "a column of the key that a sink leaves out, by its new name": (
        "key: [a]\nrename: {a: b}",
        "exclude: [b]",
        [
            (
                "9: sinks.out.exclude: leaves out b, which is in the key of s.t (line 4); keep it, "
                "take it out of the key, or send the table to other sinks"
            )
        ],
    ),
    "a mask of a column by the name that it had": (
        "rename: {email: mail}",
        "mask: {email: redact}",
        [
            (
                "8: sinks.out.mask.email: no table of this sink leaves a column email; the table "
                "renames it, so it is mail here"
            )
        ],
    ),
    "a column that the table does not pass on": (
        "columns: [a]",
        "columns: [b]",
        [
            (
                "8: sinks.out.columns[0]: no table of this sink leaves a column b; names are those "
                "that the tables' own columns and exclude have left"
            )
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_asked_of_columns_is_refused(
    refused: Callable[..., list[str]], name: str
) -> None:
    """With the line, the key and the cure; no key of hashes is in it."""
    table, sink, problems = WRONG[name]

    found = refused(_file(table, sink))

    assert found == [f"bridge.yaml:{problem}" for problem in problems]
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize(
    ("table", "sink"),
    [
        ("columns: [a, b]\nrename: {a: b, b: a}", ""),
        ("exclude: [b]\nrename: {a: b}", "columns: [b]"),
        ("exclude: [a]", "exclude: [a]\nmask: {}"),
        ("exclude: [a]", "mask: {a: redact}"),
        ("rename: {a: b}", "rename: {b: a}"),
        ("key: [a]\nrename: {a: b}", "columns: [b]"),
        ("key: [a]\nmask: {a: redact}", ""),
        ("rename: {a: a}", ""),
    ],
)
def test_what_can_be_asked_of_columns_is_taken(
    read: Callable[..., Config], table: str, sink: str
) -> None:
    """Two may change names, a name that is free may be taken, and what is left out twice is out."""
    assert read(_file(table, sink))


def test_a_key_of_hashes_may_be_bytes_that_are_no_text(read: Callable[..., Config]) -> None:
    """A variable may hold anything but a zero, and others compute hashes with what it holds."""
    config = read(_file("mask: {a: hash}\nmask_key: ${MASK_KEY}"), MASK_KEY="\udcffä")

    assert config.tables[0].stage.mask_key == b"\xff\xc3\xa4"


def test_a_table_of_a_sink_that_has_the_column_is_enough(read: Callable[..., Config]) -> None:
    """A sink's shaping is for all of its tables, and few have all of the columns."""
    file = _file("rename: {email: mail}", "mask: {email: redact}")

    assert read(file.replace("sinks:", "  - name: s.other\nsinks:"))


def test_the_key_of_hashes_is_taken_from_a_file_and_never_shown(
    read: Callable[..., Config], tmp_path: Path
) -> None:
    """Not in the configuration's repr, not in what a library quotes."""
    (tmp_path / "key").write_text("not to be seen\n")

    config = read(_file(f"mask: {{a: hash}}\nmask_key_file: {tmp_path}/key"))

    assert config.tables[0].stage == Stage(mask=(("a", "hash"),), mask_key=b"not to be seen")
    secrets = Secrets()
    secrets.add(config)
    shown = (repr(config), repr(config.tables[0].stage))
    assert "not to be seen" not in "".join((*shown, secrets.hide("it is not to be seen")))
