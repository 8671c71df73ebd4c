"""Client libraries that not everybody needs: each comes with an extra of this distribution."""

from __future__ import annotations

from importlib.util import find_spec


def require(package: str, extra: str) -> None:
    """See that a package is installed, without importing it.

    Raises:
        ValueError: it is not; the message says how to get it.
    """
    if find_spec(package) is None:
        raise ValueError(
            f"the Python package {package} is missing: pip install 'kinetica-bridge[{extra}]'"
        )
