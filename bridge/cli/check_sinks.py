"""What `check` tries at each sink, and what cures what their libraries say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.cli.check_finding import Finding, cure_by, fine, odd, said, wrong
from bridge.config import Config
from bridge.errors import BridgeError
from bridge.events import Schema
from bridge.sinks.base import Assignment, Caution
from bridge.supervisor import make_plan

_CURES = (
    (
        r"proxy of the environment",
        (
            "write HTTPS_PROXY (or HTTP_PROXY) as http://HOST:PORT, or set NO_PROXY to the "
            "receiver's host to go without"
        ),
    ),
    (r"the proxy", "see that HTTPS_PROXY names a proxy that is up, or set NO_PROXY"),
    (
        r"certificate verify failed|self.signed|unknown ca|hostname mismatch|broker certificate",
        (
            "set the authority's PEM file ({authority}), or name the destination as its "
            "certificate does"
        ),
    ),
    (
        r"takes requests of|is larger than",
        (
            "raise max.message.bytes of the topic, and "
            "message.max.bytes under sinks.{sink}.options, or leave columns out (exclude)"
        ),
    ),
    (
        r"auto\.create|cannot be made",
        (
            "kafka-topics.sh --bootstrap-server {server} --create --topic TOPIC, or set "
            "sinks.{sink}.create_topics: {{}}"
        ),
    ),
    (
        r"authentication|sasl|\b401\b|\b403\b|credential|password|not authori",
        "mend the credentials of sinks.{sink}",
    ),
    (
        r"no such file|no folder|nothing can be made|is no regular file",
        "mend sinks.{sink}.path: a folder on this machine, mounted into the container if it is one",
    ),
    (
        r"permission denied|read-only",
        "chown the folder to the user of the service, or write elsewhere: sinks.{sink}.path",
    ),
    (
        (
            r"refused|all brokers|no broker|transport failure|timed out|no answer|unreachable"
            r"|resolve|name or service"
        ),
        (
            "start the destination, or mend its address in sinks.{sink} (in a container "
            "localhost is the container itself)"
        ),
    ),
)


def sinks(
    config: Config, layouts: Mapping[str, Schema], sizes: Mapping[tuple[str, str], int]
) -> Iterator[Finding]:
    """Try each sink; nothing is delivered.

    Args:
        config: with patterns, perhaps.
        layouts: of tables, by qualified name.
        sizes: bytes that an event takes, about, by sink and table, where that is known.
    """
    for name, plan in make_plan(config, layouts).sinks.items():
        what = f"sink {name} ({plan.settings.type})"
        try:
            sink = plan.build(name)
        except BridgeError as error:
            yield wrong(what, said(error), error.hint or f"mend sinks.{name}")
            continue
        of = {table: size for (id_, table), size in sizes.items() if id_ == name}
        sink.assignment = Assignment(name, tables=plan.tables, sizes=of)
        try:
            noted = sink.check()
        except Exception as error:  # noqa: BLE001 (whatever a plug-in raises is the finding)
            yield wrong(what, said(error), _cure(error, name, plan.settings))
        else:
            if isinstance(noted, Caution):
                yield odd(what, noted, noted.cure)
            else:
                yield fine(what, noted or "can be reached")
        finally:
            sink.close()


def _cure(error: Exception, sink: str, settings: object) -> str:
    if isinstance(error, BridgeError) and error.hint:
        return error.hint
    server = getattr(settings, "bootstrap_servers", "HOST:9092")
    authority = (
        "options: {ssl.ca.location: FILE}"
        if hasattr(settings, "bootstrap_servers")
        else "tls.ca_file"
    )
    return cure_by(_CURES, said(error)).format(sink=sink, server=server, authority=authority)
