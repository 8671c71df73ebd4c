"""The command `kinetica-bridge`: a thin module per subcommand.

Results go to stdout, everything else to stderr. Exit codes: 0 done or drained, 1 runtime,
2 configuration or usage, 3 a right configuration in an environment that is not.
May import everything; nothing imports it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from bridge.cli.signals import Signals


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit code."""
    _fill_standard_descriptors()
    signals = Signals()
    signals.install()
    # After the handlers: imports take a while, and a signal that comes meanwhile counts.
    from bridge.cli.main import carry_out  # noqa: PLC0415

    return carry_out(argv, signals)


def _fill_standard_descriptors() -> None:
    """Open what the caller has closed, before a file of ours gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


__all__ = ["main"]
