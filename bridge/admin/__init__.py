"""The admin endpoint: health, readiness and metrics over HTTP.

Here live the server, its addresses and its pages (`server`, `listening`, `health`) and the
translation of a snapshot into Prometheus families (`metrics`). It reads and changes nothing. May
import everything but the command line. The only room that imports `prometheus_client`.
"""
