"""What a table's gaps can be closed by: its key, a growing column, both, or nothing; with a
snapshot first, or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The arguments of `World`.
VARIANTS: Mapping[str, dict[str, Any]] = {
    "key": {"key": True, "table": {}},
    "column": {"key": False, "table": {"catch_up": {"column": "id"}}},
    "both": {"key": True, "table": {"catch_up": {"column": "id"}}},
    "snapshot": {"key": True, "table": {"snapshot": "initial"}},
    "neither": {"key": False, "table": {}},
}
