"""Every setting of the bridge: its type, default, unit and meaning.

The descriptions are what `kinetica-bridge schema` prints and editors show. What one setting
alone can tell is checked here; what takes several, in `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializeAsAny,
    model_validator,
)

from bridge.config.addresses import cluster_urls
from bridge.config.admin import Admin
from bridge.config.names import is_pattern, matches, qualified, table_name
from bridge.config.section import PositiveDuration, Section, SomePath
from bridge.config.whole import DeadLetters, Log, Shutdown
from bridge.formats.settings import Names, Shaping, Text, unique
from bridge.sinks.base import SinkSettings
from bridge.units import Duration, Size

SINK_ID = re.compile(r"[a-z0-9-]+")

Operation = Literal["insert", "update", "delete"]


def _unset_when_empty(value: Any) -> Any:
    return None if value == "" else value


def _none_when_off(value: Any) -> Any:
    # `false` is what is left of `off` by whoever writes the file with YAML 1.1, as Helm does.
    return None if value is False or value in ("off", "false") else value


def _no_less_than_a_mebibyte(value: int) -> int:
    if value < 2**20:
        raise ValueError("must be at least 1MiB")
    return value


def _catch_up(value: Any) -> Any:
    if value is False or value == "false":
        return "off"
    if value is None or value == "off" or isinstance(value, Mapping | BaseModel):
        return value
    raise ValueError("wanted {column: C}, {whole_table: ROWS} or off")


ClusterUrls = Annotated[
    tuple[str, ...],
    BeforeValidator(cluster_urls, json_schema_input_type=str | list[str]),
]


class Tls(Section):
    """How an https cluster proves who it is."""

    ca_file: SomePath | None = Field(
        default=None,
        description="Certificates (PEM) to trust instead of those that come with the system.",
    )
    verify: bool = Field(
        default=True,
        description="Whether the cluster's certificate must be valid. Leave it true outside tests.",
    )


class Kinetica(Section):
    """Where Kinetica is and who we are there."""

    urls: ClusterUrls = Field(
        description=(
            "The clusters of the ring, primary first: a list, or one text with commas. Without "
            "a scheme http is meant, and with http, no port and no path port 9191."
        ),
    )
    username: Annotated[str | None, BeforeValidator(_unset_when_empty)] = Field(
        default=None, description="User name; without one, no credentials are sent."
    )
    password: SecretStr | None = Field(default=None, description="The user's password.")
    token: SecretStr | None = Field(
        default=None, description="A bearer token, in place of user name and password."
    )
    monitor_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="ZeroMQ port of table monitors; default: what the server says, else 9002.",
    )
    timeout: PositiveDuration = Field(
        default=30.0, description="How long a call to Kinetica may take."
    )
    probe_interval: PositiveDuration = Field(
        default=5.0, description="Time between two probes of the cluster, tables and monitors."
    )
    probe_timeout: PositiveDuration = Field(
        default=2.0, description="How long a probe may take before the cluster counts as down."
    )
    failback: Annotated[
        PositiveDuration | None,
        BeforeValidator(
            _none_when_off, json_schema_input_type=PositiveDuration | Literal["off", False] | None
        ),
    ] = Field(
        default=60.0,
        description=(
            "After a failover, how long the primary must be well before the bridge returns to "
            "it; off to stay."
        ),
    )
    tls: Tls = Field(default=Tls(), description="Certificates for https.")


class Journal(Section):
    """The durable log between Kinetica and the sinks."""

    path: SomePath = Field(
        default=Path("/var/lib/kinetica-bridge"),
        description="The folder it is kept in; on a local disk, for one bridge alone.",
    )
    max_size: Annotated[Size, AfterValidator(_no_less_than_a_mebibyte)] = Field(
        default=10 * 2**30,
        description="Most disk that its events may take; 1MiB or more. Some MiB come on top.",
    )
    max_age: PositiveDuration = Field(
        default=7 * 86400.0,
        description="How long events are kept that every sink has acknowledged.",
    )
    on_full: Literal["stop_capture", "drop_oldest"] = Field(
        default="stop_capture",
        description=(
            "What gives way at max_size: stop_capture takes no new events until there is room, "
            "which is reported as a gap; drop_oldest deletes the oldest, acknowledged or not, "
            "and counts them as discarded."
        ),
    )
    linger: Duration = Field(
        default=0.005,
        description="How long a steady trickle of rows may wait for its commit.",
    )


class CatchUp(Section):
    """How missed rows are read back: by a growing column, or by comparing the whole table."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["column"]}, {"required": ["whole_table"]}]}
    )

    column: Text | None = Field(
        default=None,
        description="A column whose values grow with every insert, such as a sequence or a time.",
    )
    whole_table: Annotated[int | None, Field(ge=1)] = Field(
        default=None,
        description=(
            "Compare the whole table with what was received, if it has at most so many rows."
        ),
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [way for way in (self.column, self.whole_table) if way is not None]
        if len(given) != 1:
            raise ValueError(
                "wanted {column: C} or {whole_table: ROWS}"
                + (", not both; keep one" if given else "; or off, which leaves gaps open")
            )
        return self


class UpdateRows(Section):
    """How the rows that updates touched are found."""

    column: Text = Field(description="A column that every update moves on, such as a time.")


class Table(Section, Shaping):
    """One table to watch."""

    name: Annotated[Text, AfterValidator(table_name)] = Field(
        description=(
            "The table, with its schema: ki_home.orders; or a pattern, ki_home.*, for every "
            "table of the schema that matches and has no entry of its own. New tables are "
            "picked up."
        )
    )
    except_: Names = Field(
        default=(),
        alias="except",
        description="Tables that the pattern does not mean: names, or patterns, ki_home.tmp_*.",
    )
    events: Annotated[tuple[Operation, ...], AfterValidator(unique)] = Field(
        default=("insert", "update", "delete"),
        min_length=1,
        description="Which operations to watch; alter and drop always are.",
    )
    key: Names | None = Field(
        default=None,
        min_length=1,
        description="Columns of the message key in Kafka; default: the table's primary key.",
    )
    filter: Text | None = Field(
        default=None,
        description="An expression on columns, evaluated by Kinetica; inserts alone obey it.",
    )
    values: Literal["declared", "kinetica"] = Field(
        default="declared",
        description=(
            "Form of the values in a record: by the column's declared type, or as Kinetica "
            "sends them."
        ),
    )
    inactivity_timeout: PositiveDuration = Field(
        default=20 * 60.0,
        description="Silence after which the table is checked and counts as idle.",
    )
    on_decode_failure: Literal["dead_letter", "skip", "abort"] = Field(
        default="dead_letter",
        description=(
            "What becomes of bytes that are no record of the table: kept as a dead letter, "
            "counted and skipped, or the table stops in the state failed."
        ),
    )
    on_drop: Literal["wait", "stop"] = Field(
        default="wait", description="After a drop: wait for the table to come back, or stop."
    )
    catch_up: Annotated[
        CatchUp | Literal["off"] | None,
        BeforeValidator(_catch_up, json_schema_input_type=CatchUp | Literal["off", False] | None),
    ] = Field(
        default=None,
        description=(
            "How gaps are closed; default: whole_table 100000 where there is a primary key, else "
            "off; off (or false) leaves them open."
        ),
    )
    update_rows: UpdateRows | None = Field(
        default=None,
        description=(
            "Read the rows that updates touched, by a column that moves with every update."
        ),
    )
    snapshot: Literal["never", "initial"] = Field(
        default="never",
        description="Whether the rows that are there already are read before the live stream.",
    )
    sinks: Names = Field(
        default_factory=tuple,
        description="Ids of the sinks that get its events; default: all of them, [] for none.",
    )

    @property
    def is_pattern(self) -> bool:
        """Whether the name is a pattern that may mean any number of tables."""
        return is_pattern(self.name)

    @property
    def columns_named(self) -> frozenset[str]:
        """Every column that its settings name."""
        by = [self.catch_up.column] if isinstance(self.catch_up, CatchUp) else []
        by += [self.update_rows.column] if self.update_rows is not None else []
        return frozenset(filter(None, [*(self.key or ()), *by]))


class Config(Section):
    """The whole configuration, valid; `tables[i].sinks` always names its sinks.

    Build it with `bridge.config.load` or `parse`, which also do the checks that take more
    than one setting.
    """

    instance: Text = Field(
        default="default",
        description="A name for this bridge, one of several; in every line of its log.",
    )
    kinetica: Kinetica = Field(description="Where Kinetica is and who we are there.")
    journal: Journal = Field(
        default=Journal(), description="The durable log between Kinetica and the sinks."
    )
    tables: tuple[Table, ...] = Field(min_length=1, description="The tables to watch.")
    sinks: Mapping[str, SerializeAsAny[SinkSettings]] = Field(
        default={}, description="Where events go: id to settings; ids are [a-z0-9-]+."
    )
    dead_letters: DeadLetters = Field(
        default=DeadLetters(), description="How long events are kept that no destination took."
    )
    admin: Admin = Field(default=Admin(), description="Health and metrics.")
    log: Log = Field(default=Log(), description="What is logged, and how.")
    shutdown: Shutdown = Field(default=Shutdown(), description="How the bridge ends.")

    def entry(self, table: str) -> Table | None:
        """Return the entry that a table belongs to: its own, else the first that means it.

        Args:
            table: the qualified name.
        """
        patterns = [entry for entry in self.tables if entry.is_pattern]
        named = (entry for entry in self.tables if not entry.is_pattern)
        own = next((entry for entry in named if qualified(entry.name) == table), None)
        if own is not None:
            return own
        means = (entry for entry in patterns if matches(table, entry.name, entry.except_))
        return next(means, None)

    @model_validator(mode="before")
    @classmethod
    def _all_sinks_by_default(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("tables"), list | tuple):
            return data
        sinks = data.get("sinks")
        ids = tuple(sinks) if isinstance(sinks, Mapping) else ()
        tables = [
            {"sinks": ids, **table} if isinstance(table, Mapping) else table
            for table in data["tables"]
        ]
        return {**data, "tables": tables}
