"""kinetica-bridge: table monitors of Kinetica as event streams people can rely on.

Public to other programs: `bridge.monitor` (the table monitor client), `bridge.sinks`
(the contract of a sink) and `bridge.testing`. All else may change between releases.
"""

__version__ = "0.1.0"
