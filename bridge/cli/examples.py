"""One example for each command, shown under its help."""

from __future__ import annotations

from types import MappingProxyType

_EXAMPLES = MappingProxyType(
    {
        "run": "kinetica-bridge run -c /etc/kinetica-bridge.yaml",
        "check": "kinetica-bridge check -c bridge.yaml --sample",
        "demo": "kinetica-bridge demo --seconds 30",
        "tail": "kinetica-bridge tail ki_home.orders --count 10",
        "health": "kinetica-bridge health && echo alive",
        "status": "kinetica-bridge status --watch",
        "snapshot": "kinetica-bridge snapshot ki_home.orders",
        "journal": "kinetica-bridge journal ls",
        "journal ls": "kinetica-bridge journal ls --json",
        "journal show": "kinetica-bridge journal show 1234",
        "journal replay": "kinetica-bridge journal replay --sink hook --since 2h --dry-run",
        "deadletters": "kinetica-bridge deadletters ls --sink hook",
        "deadletters ls": "kinetica-bridge deadletters ls --sink hook --since 1d",
        "deadletters show": "kinetica-bridge deadletters show 17",
        "deadletters drop": "kinetica-bridge deadletters drop --all --reason 'HTTP 422'",
        "deadletters replay": "kinetica-bridge deadletters replay --all --sink hook",
        "gaps": "kinetica-bridge gaps ls",
        "gaps ls": "kinetica-bridge gaps ls --table ki_home.orders --all",
        "gaps show": "kinetica-bridge gaps show 4f1c09b5a2d3e687",
        "gaps close": "kinetica-bridge gaps close 4f1c09b5a2d3e687",
        "gaps accept": "kinetica-bridge gaps accept 4f1c09b5a2d3e687",
        "sinks": "kinetica-bridge sinks ls",
        "sinks ls": "kinetica-bridge sinks ls --json",
        "sinks pause": "kinetica-bridge sinks pause hook --table ki_home.orders",
        "sinks resume": "kinetica-bridge sinks resume hook",
        "sinks skip": "kinetica-bridge sinks skip hook --table ki_home.orders",
        "emulator": "kinetica-bridge emulator --port 0 --monitor-port 0 --weather",
        "schema": "kinetica-bridge schema > bridge.schema.json",
        "completion": "source <(kinetica-bridge completion bash)",
    }
)


def example(prog: str) -> str | None:
    """Return what to show under the help of a command, None where there is nothing.

    Args:
        prog: `kinetica-bridge` and the command's words.
    """
    found = _EXAMPLES.get(prog.partition(" ")[2])
    return f"example:\n  {found}" if found else None
