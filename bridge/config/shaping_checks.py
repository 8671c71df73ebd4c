"""Whether what is asked of columns can be done: in one place, and by a table and then a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bridge.config.problems import KeyPath, Problems

Settings = Mapping[str, Any]
Placed = tuple[KeyPath, Settings]


class Step(NamedTuple):
    """What one place asks of columns, as far as it is of the right types.

    Attributes:
        columns: only these; None for all.
        exclude: those left out.
        rename: new names by the old ones.
        mask: masks by name.
    """

    columns: list[str] | None
    exclude: list[str]
    rename: dict[str, str]
    mask: dict[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Step:
        """Read it from plain data."""
        columns = _texts(settings.get("columns"))
        return cls(
            columns or None,
            _texts(settings.get("exclude")),
            _pairs(settings.get("rename")),
            _pairs(settings.get("mask")),
        )

    def left(self, name: str) -> str | None:
        """Return the name that a column goes on with, None where it is left out."""
        out = name in self.exclude or (self.columns is not None and name not in self.columns)
        return None if out else self.rename.get(name, name)

    def may_leave(self, name: str) -> bool:
        """Say whether a column of some table may go on with a name."""
        if name in self.rename.values():
            return True
        return self.left(name) == name

    @property
    def dropping(self) -> str:
        """Return the setting by which columns are left out."""
        return "columns" if self.columns is not None else "exclude"

    def named(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the names that are to be there, each with its path within the settings."""
        yield from ((("columns", place), name) for place, name in enumerate(self.columns or ()))
        yield from ((("exclude", place), name) for place, name in enumerate(self.exclude))
        yield from ((("rename", name), name) for name in self.rename)
        yield from ((("mask", name), name) for name in self.mask)


def check_place(
    path: KeyPath, settings: Settings, unset: frozenset[KeyPath], problems: Problems
) -> None:
    """Report what one place asks of columns that cannot be.

    Args:
        path: of the place: a table or a sink.
        settings: of the table or sink, as plain data.
        unset: paths of settings whose value is an empty substitution.
        problems: where to report.
    """
    step = Step.of(settings)
    if step.columns is not None and step.exclude:
        problems.add(
            (*path, "exclude"),
            "columns is given too, which leaves out all others; keep one of them",
        )
    for key, names in (("rename", step.rename), ("mask", step.mask)):
        for name in names:
            if step.left(name) is None:
                cure = (
                    f"columns does not have {name}; add it there, or leave this out"
                    if step.dropping == "columns"
                    else f"exclude leaves {name} out; take it out of one of them"
                )
                problems.add((*path, key, name), cure)
    _one_name_each(path, step, problems)
    hashed = [name for name, mask in step.mask.items() if mask == "hash"]
    if hashed and "mask_key" not in settings:
        problems.add(
            (*path, "mask", hashed[0]),
            "hash needs mask_key beside mask"
            + (", which is empty; give it, " if (*path, "mask_key") in unset else ", ")
            + 'or mask_key_file: a file with what "openssl rand -hex 32" prints',
        )


def _one_name_each(path: KeyPath, step: Step, problems: Problems) -> None:
    taken = {name: name for name in step.columns or () if name not in step.rename}
    for old, new in step.rename.items():
        owner = taken.setdefault(new, old)
        if owner == old:
            continue
        problems.add(
            (*path, "rename", old),
            f"{owner} is to be named {new} too; give each a name of its own"
            if owner != new
            else f"there is a column {new} already; rename that one as well, or leave it out",
        )


def check_sink(sink: str, settings: Settings, tables: Sequence[Placed], problems: Problems) -> None:
    """Report what a sink asks of columns that its tables do not leave.

    Args:
        sink: its id.
        settings: of the sink, as plain data.
        tables: those that go to it, with their paths.
        problems: where to report.
    """
    path: KeyPath = ("sinks", sink)
    step = Step.of(settings)
    steps = [Step.of(table) for _, table in tables]
    for inner, name in step.named():
        if not steps or any(each.may_leave(name) for each in steps):
            continue
        renamed = next((each.rename[name] for each in steps if name in each.rename), None)
        if renamed is not None:
            cure = f"the table renames it, so it is {renamed} here"
        elif inner[0] in {"exclude", "mask"}:
            continue  # gone already: twice is once
        else:
            cure = "names are those that the tables' own columns and exclude have left"
        problems.add((*path, *inner), f"no table of this sink leaves a column {name}; {cure}")
    for (table_path, table), own in zip(tables, steps, strict=True):
        for column in _texts(table.get("key")):
            left = own.left(column)
            if left is not None and step.left(left) is None:  # else it is said of the table
                problems.add(
                    (*path, step.dropping),
                    f"leaves out {left}, which is in the key of {table.get('name')} "
                    f"(line {problems.line((*table_path, 'key'))}); keep it, take it out of the "
                    "key, or send the table to other sinks",
                )


def check_key(path: KeyPath, table: Settings, problems: Problems) -> None:
    """Report a column of a table's key that the table itself leaves out."""
    step = Step.of(table)
    for column in _texts(table.get("key")):
        if step.left(column) is None:
            problems.add(
                (*path, step.dropping),
                f"leaves out {column}, which is in key; keep it, or take it out of key",
            )


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _pairs(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {key: to for key, to in pairs if isinstance(key, str) and isinstance(to, str)}
