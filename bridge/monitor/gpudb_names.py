"""The one name under which the vendor's client has all of this."""

from __future__ import annotations

from typing import TypeAlias

from bridge.monitor import callbacks, client, options


class GPUdbTableMonitor:
    """What `from gpudb import GPUdbTableMonitor` gives, so that one changed import suffices."""

    Client: TypeAlias = client.Client
    Callback: TypeAlias = callbacks.Callback
    Options: TypeAlias = options.Options
