"""`schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import argparse
import json

from bridge.cli import logs
from bridge.cli.main import OK
from bridge.config import json_schema


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 (every command has them)
    """Print the schema."""
    logs.configure("warning", None)
    print(json.dumps(json_schema(), indent=2))
    return OK
