"""What `check` tries at each cluster: its HTTP, its clock, and its monitor port from here."""

from __future__ import annotations

import socket
from concurrent.futures import FIRST_COMPLETED, wait

from bridge.cli.check_finding import Finding, cure_by, fine, odd, said, wrong
from bridge.config import Config
from bridge.errors import BridgeError, Unauthorised
from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber
from bridge.wire.calls import DEFAULT_MONITOR_PORT, Cluster, Properties

# Seconds for a connection, and for a ZeroMQ handshake on one that stands.
_CONNECT, _HANDSHAKE = 5.0, 10.0
# Seconds by which clocks may differ: what a Date header rounds off, and some network.
_SKEW = 5.0

_CURES = (
    (
        r"hostname mismatch|ip address mismatch|doesn't match|not valid for",
        (
            "name the cluster in kinetica.urls as its certificate does "
            "(openssl s_client -connect {place} </dev/null | openssl x509 -noout -text)"
        ),
    ),
    (
        r"certificate has expired|not yet valid",
        "renew the server's certificate; see also this machine's clock (date -u)",
    ),
    (
        r"certificate verify failed|self.signed|unable to get",
        (
            "set kinetica.tls.ca_file to the PEM file of the authority that signed the server's "
            "certificate"
        ),
    ),
    (
        r"wrong.version.number|record layer",
        "the server speaks no TLS: write http:// in kinetica.urls",
    ),
    (r"could not find a suitable tls|no such file|pem", "mend kinetica.tls.ca_file: a PEM file"),
    (
        r"refused",
        (
            "nothing listens at {place} as seen from here: start Kinetica, or mend the port in "
            "kinetica.urls (in a container localhost is the container itself)"
        ),
    ),
    (
        r"name or service|resolve|nodename|no address associated",
        "this machine does not know that name: mend kinetica.urls, or try `getent hosts {host}`",
    ),
    (
        r"no answer within|timed out|no route|unreachable",
        "see that a firewall lets it through: curl -m 5 {url}/",
    ),
    (
        r"not a reply of kinetica",
        (
            "another program answers there: put the port of Kinetica's HTTP into kinetica.urls "
            "(9191, or through its httpd https://HOST:8082/gpudb-0)"
        ),
    ),
)


def cluster(one: Cluster, config: Config) -> tuple[list[Finding], Properties | None]:
    """Ask a cluster for its state, and return what it says of itself where it is well."""
    what = f"cluster {one.url}"
    try:
        status = one.status(config.kinetica.timeout)
        properties = one.properties()
    except BridgeError as error:
        return [wrong(what, said(error), _cure(error, one, config))], None
    if status != "running":
        cure = "start the database, or wait until it says that it is running"
        return [wrong(what, f"it says it is {status}", cure)], None
    found = [fine(what, f"running, version {properties.version or 'unknown'}")]
    skew = one.http.skew
    if skew is not None and abs(skew) > _SKEW:
        found.append(
            odd(
                f"clock of {one.url}",
                f"{abs(skew):,.0f} seconds {'ahead of' if skew > 0 else 'behind'} this machine's",
                "let both keep time by NTP: chronyc tracking, or timedatectl status, on each",
            )
        )
    return found, properties


def monitor_port(one: Cluster, properties: Properties, config: Config) -> Finding:
    """Try to shake hands with the port that table monitors publish on, from this machine."""
    port = config.kinetica.monitor_port or properties.monitor_port or DEFAULT_MONITOR_PORT
    if port < 0:
        return wrong(
            f"monitors of {one.url}",
            "switched off on the server",
            "set set_monitor_port = 9002 in the server's gpudb.conf, and restart it",
        )
    hosts = one.http.addresses()
    what = f"monitor port tcp://{_bracketed(hosts[0])}:{port}"
    causes = {host: _refusal(host, port) for host in hosts}
    open_ = [host for host, cause in causes.items() if cause is None]
    if not open_:
        cause = causes[hosts[0]]
        blame = "closed" if cause == "connection refused" else "cannot be reached from here"
        setting = "" if config.kinetica.monitor_port is None else "mend kinetica.monitor_port, or "
        return wrong(
            what,
            f"{blame}: {cause}",
            f"{setting}open port {port} of {one.http.host} for this machine, beside the HTTP port "
            f"(nc -vz {one.http.host} {port}); a container must publish it",
        )
    if not _shakes_hands(open_, port, min(_HANDSHAKE, config.kinetica.timeout)):
        return wrong(
            what,
            "takes connections, but no ZeroMQ peer answers there",
            "set kinetica.monitor_port to set_monitor_port of the server's gpudb.conf; a proxy "
            "between must pass plain TCP",
        )
    return fine(what, "answers")


def _cure(error: BridgeError, one: Cluster, config: Config) -> str:
    kinetica = config.kinetica
    if isinstance(error, Unauthorised):
        if kinetica.token is not None:
            return "put a token that the cluster takes into kinetica.token"
        if kinetica.username is None:
            return "the cluster wants a login: set kinetica.username and kinetica.password_file"
        return (
            f"mend kinetica.username and kinetica.password; by hand: curl -u {kinetica.username} "
            f"-d '{{\"options\":{{}}}}' -H 'Content-Type: application/json' "
            f"{one.url}/show/system/status"
        )
    host, place = one.http.host, one.url.partition("://")[2].partition("/")[0]
    cure = cure_by(_CURES, said(error)) or error.hint or f"try it by hand: curl -v {one.url}/"
    return cure.format(host=host, place=place, url=one.url)


def _refusal(host: str, port: int) -> str | None:
    """Say why no connection can be made, None where one can."""
    try:
        socket.create_connection((host, port), _CONNECT).close()
    except TimeoutError:
        return f"no answer within {_CONNECT:g} s"
    except (OSError, UnicodeError) as error:
        return said(error)
    return None


def _shakes_hands(hosts: list[str], port: int, seconds: float) -> bool:
    subscriber: Subscriber[Route] = Subscriber(lambda *_: None, lambda: None)
    subscriber.start()
    try:
        knocks = [subscriber.subscribe(f"tcp://{_bracketed(h)}:{port}", {}) for h in hosts]
        done, _ = wait(knocks, seconds, FIRST_COMPLETED)
        return any(not knock.cancelled() and knock.exception() is None for knock in done)
    finally:
        subscriber.stop()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
