"""What a table is, and what its gaps can be closed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """A table, and how the service is told to watch it.

    Attributes:
        key: columns of the primary key; of two, the first has few values.
        table: settings.
        closable: whether every gap must be closed in the end.
        lies: whether the column that is said to grow may do otherwise, after which a gap may
            stay open.
    """

    key: tuple[str, ...] = ()
    table: Mapping[str, Any] = field(default_factory=dict)
    closable: bool = True
    lies: bool = False

    @property
    def whole(self) -> bool:
        """Whether gaps are closed by a comparison of the whole table."""
        catch_up = self.table.get("catch_up", {"whole_table": 0} if self.key else {})
        return "whole_table" in catch_up

    @property
    def may_close(self) -> bool:
        """Whether gaps may be closed: some stay open, as no key tells which row is which."""
        return self.closable or self.lies or self.whole

    @property
    def snapshot(self) -> bool:
        """Whether rows of before are delivered."""
        return self.table.get("snapshot") == "initial"


VARIANTS: Mapping[str, Variant] = {
    "key": Variant(("id",)),
    "column": Variant((), {"catch_up": {"column": "id"}}),
    "both": Variant(("id",), {"catch_up": {"column": "id"}}),
    "snapshot": Variant(("id",), {"snapshot": "initial"}),
    "neither": Variant(closable=False),
    "composite": Variant(("team", "id")),
    "whole": Variant((), {"catch_up": {"whole_table": 100_000}}, closable=False),
    "keyless": Variant((), {"snapshot": "initial"}, closable=False),
    "lying": Variant((), {"catch_up": {"column": "rank"}}, closable=False, lies=True),
}
