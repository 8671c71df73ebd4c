"""The command `kinetica-bridge`: a thin module per subcommand.

Results go to stdout, everything else to stderr. Exit codes: 0 done or drained, 1 runtime,
2 configuration or usage, 3 a right configuration in an environment that is not.
May import everything; nothing imports it.
"""

from bridge.cli.main import main

__all__ = ["main"]
