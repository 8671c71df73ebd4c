"""Configuration: one YAML file in, one frozen `Config` or every reason why not out.

Here live the settings (`models`), reading (`loading` and the passes it calls), the JSON Schema
(`schema`) and a form fit for logs (`redaction`). What a setting does lives in the room that
obeys it; the settings of a sink live with the sink. May import: errors, units, certificates, of
formats how rows are shaped, and of sinks the contract, the registry, and how a file sink's path is
filled in. The only room that imports the YAML library.
"""

from bridge.config.admin import Admin, AdminTls
from bridge.config.files import content_of, files_digest, paths_in
from bridge.config.loading import (
    DEFAULT_FILE,
    VARIABLE,
    find_file,
    load,
    load_address,
    load_again,
    named_files,
    parse,
)
from bridge.config.models import (
    CatchUp,
    Config,
    Journal,
    Kinetica,
    Table,
    Tls,
    UpdateRows,
)
from bridge.config.names import is_pattern, matches
from bridge.config.redaction import Secrets
from bridge.config.schema import json_schema
from bridge.config.whole import DeadLetters, Log, Shutdown

__all__ = [
    "DEFAULT_FILE",
    "VARIABLE",
    "Admin",
    "AdminTls",
    "CatchUp",
    "Config",
    "DeadLetters",
    "Journal",
    "Kinetica",
    "Log",
    "Secrets",
    "Shutdown",
    "Table",
    "Tls",
    "UpdateRows",
    "content_of",
    "files_digest",
    "find_file",
    "is_pattern",
    "json_schema",
    "load",
    "load_address",
    "load_again",
    "matches",
    "named_files",
    "parse",
    "paths_in",
]
