"""The admin endpoint: health, readiness, metrics and the gaps over HTTP.

Here live the server, its addresses and its pages (`server`, `listening`, `http`, `requests`,
`pages`, `health`, `gaps`) and the translation of a snapshot into Prometheus families (`metrics`).
What changes something is a request to the service, and wants a token. May import everything but
the command line. The only room that imports `prometheus_client`.
"""
