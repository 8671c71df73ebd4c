"""Which codec runs is chosen once, by the environment, and said."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

SHOW = "import bridge.codec as c; print(c.IMPLEMENTATION, c._Implementation.__name__)"


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("wish", ["", "c"])
def test_c_is_used_where_it_was_built(native_codec: Any, wish: str) -> None:
    """Unasked, and when asked for."""
    assert start(SHOW, KINETICA_BRIDGE_CODEC=wish).stdout == "c NativeCodec\n"


def test_the_fallback_can_be_forced() -> None:
    """For whoever doubts the C code."""
    assert start(SHOW, KINETICA_BRIDGE_CODEC="fastavro").stdout == "fastavro FallbackCodec\n"


ABSENT = "import sys; sys.modules['bridge.codec._native'] = None; "


def test_without_c_the_fallback_runs_unless_c_was_asked_for() -> None:
    """An absent module is no error until someone relies on it."""
    asked = start(ABSENT + SHOW, KINETICA_BRIDGE_CODEC="c")

    assert start(ABSENT + SHOW, KINETICA_BRIDGE_CODEC="").stdout == "fastavro FallbackCodec\n"
    assert "reinstall with a C compiler" in asked.stderr


def test_an_unknown_codec_is_refused() -> None:
    """A slip of the pen is not silently the default."""
    slip = start(SHOW, KINETICA_BRIDGE_CODEC="fastavroo")

    assert "KINETICA_BRIDGE_CODEC: must be c, fastavro or empty, not 'fastavroo'" in slip.stderr
