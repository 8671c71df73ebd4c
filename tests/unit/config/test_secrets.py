"""A secret comes from text, environment or file, for any sink, and is never shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bridge.config import Config, Secrets, json_schema

Read = Callable[..., Config]
Refused = Callable[..., list[str]]

HEAD = "kinetica: {urls: a}\ntables: [{name: s.t}]\nsinks:\n  out:\n    type: acme\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("correct horse\r\n")
    return file


@pytest.mark.usefixtures("acme")
def test_a_sink_gets_a_file_beside_its_secrets_without_asking(read: Read, secret: Path) -> None:
    """At the top of its settings, in a section, in a list of sections."""
    config = read(
        HEAD
        + f"    api_key_file: {secret}\n"
        + f"    login: {{user: me, password_file: {secret}}}\n"
        + f"    logins: [{{user: a, password: b}}, {{user: me, password_file: {secret}}}]\n"
    )

    settings = config.sinks["out"].model_copy()
    assert settings.api_key.get_secret_value() == "correct horse"  # type: ignore[attr-defined]
    assert settings.login.password.get_secret_value() == "correct horse"  # type: ignore[attr-defined]
    assert settings.logins[1].password.get_secret_value() == "correct horse"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("acme")
def test_a_section_given_in_part_keeps_the_sinks_own_defaults(read: Read) -> None:
    """This sink's batches have 50 events, which a wait does not change."""
    config = read(HEAD + "    api_key: long enough\n    batch: {max_wait: 1s}\n")

    batch = config.sinks["out"].batch
    assert (batch.max_events, batch.max_wait) == (50, 1.0)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{}", "4: sinks.out.api_key: required, or api_key_file"),
        ("api_key: hunter2", "6: sinks.out.api_key: what stands there is too short"),
        ("api_key_file: FILE", "6: sinks.out.api_key_file: what stands there is too short"),
        ("api_key_file: /nowhere", "6: sinks.out.api_key_file: cannot read /nowhere: no such "),
        ("api_key_file: EMPTY", "6: sinks.out.api_key_file: EMPTY is empty"),
        ("api_key_file: BINARY", "6: sinks.out.api_key_file: BINARY holds no text in UTF-8"),
        ("api_key_file: 7", "6: sinks.out.api_key_file: wanted the path of a file that holds "),
        ("api_key_file: /dev/zero", "6: sinks.out.api_key_file: /dev/zero holds more than 65536"),
        ("api_key_file: ''", "6: sinks.out.api_key_file: wanted the path of a file that holds "),
        ('api_key_file: "a\\0b"', "6: sinks.out.api_key_file: no path of a file: it holds a "),
        (
            "api_key: long enough\n    options: {a: [1]}",
            "7: sinks.out.options.a: wanted text or a whole number or true or false, not a list",
        ),
        ("api_key: long enough\n    pairs: 3", "7: sinks.out.pairs: 3 is odd"),
        (
            "api_key: exploding\n    word: explode",
            "4: sinks.out: cannot be read: RuntimeError: explode came",
        ),
        ("api_key: long enough\n    login: {user: x}", "7: sinks.out.login.password: required, or"),
        (
            "api_key: long enough\n    login: {usr: x, password: y}",
            "7: sinks.out.login.user: required",
        ),
    ],
)
def test_what_is_wrong_with_anyones_sink_is_said_as_for_ours(
    settings: str, expected: str, refused: Refused, tmp_path: Path
) -> None:
    """Line, key and reason; the secret never."""
    files = {"FILE": b"hunter2\n", "EMPTY": b"\n", "BINARY": b"\xff\xfe"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        settings = settings.replace(name, str(tmp_path / name))
        expected = expected.replace(name, str(tmp_path / name))
    text = HEAD + ("" if settings == "{}" else f"    {settings}\n")

    (problem,) = refused(text)

    assert problem.startswith(f"bridge.yaml:{expected}")
    assert "hunter2" not in problem


# A setting of a configuration, or of a sink of some type, with a secret where it does not belong.
_AMISS = """
kinetica.urls http://u:hunter2@h:9191
kinetica.urls http://u:hunter2@h:port
kinetica.urls http://u:hunter2/x@h:9191
kinetica.urls http://u:hunter2#x@h:9191
kinetica.urls ftp://u:hunter2@h
kinetica.urls http://h:9191?hunter2
kinetica.pasword hunter2
kinetica.password [hunter2]
kinetica.password {hunter2: x}
kinetica.password "${hunter2"
kinetica.password "hunter2
kinetica.password @hunter2
kinetica.password "hunter2\\q"
kinetica.password_file https://h/hunter2
admin hunter2
admin.token [hunter2]
admin.listen u:hunter2@h:1
log.level ${ENV}
journal.max_size ${ENV}
webhook.headers "X-Api-Key: hunter2"
webhook.headers ["X-Api-Key: hunter2"]
webhook.headers {"X-Api-Key: hunter2": x}
webhook.headers {X-Api-Key: {hunter2: x}}
webhook.headers {X-Api-Key: "hunter2\\nx"}
webhook.secret whsec_hunter2
webhook.bearer_token "hunter2\\nx"
webhook.url http://u:hunter2@h/
webhook.url http://u:hunter2@h:port/
webhook.url http://h/{nope}?k=hunter2
webhook.url ${ENV}
webhook.url_file https://h/?k=hunter2
webhook.timeout ${ENV}
kafka.options sasl.password=hunter2
kafka.options [sasl.password=hunter2]
kafka.options {"sasl.password=hunter2": x}
kafka.options {sasl.password: [hunter2]}
kafka.options {sasl.pasword: hunter2}
kafka.options {security.protocol: ssl, ssl.certificate.pem: hunter2}
kafka.schema_registry http://u:hunter2@h
kafka.schema_registry {url: "http://u:hunter2@h"}
postgres.dsn postgres://u:hunter2@h:x/d?nope=1
postgres.dsn host=h pasword=hunter2
redis.url http://u:hunter2@h
redis.url redis://u:hunter2@h:x
${ENV}.url x
"""


@pytest.mark.parametrize("amiss", _AMISS.strip().splitlines())
def test_a_secret_where_it_does_not_belong_is_not_quoted(amiss: str, refused: Refused) -> None:
    """In a wrong place, of a wrong form, under a misspelt name, in YAML that breaks at it."""
    key, _, value = amiss.partition(" ")
    section, _, name = key.partition(".")
    lines = {"kinetica": ["kinetica:", "  urls: a"], "tables": ["tables: [{name: s.t}]"]}
    if section in ("kinetica", "admin", "log", "journal"):
        given = [f"{section}:", f"  {name}: {value}"] if name else [f"{section}: {value}"]
        lines[section] = given if name == "urls" else [*lines.get(section, given[:1]), *given[1:]]
    else:
        lines["sinks"] = ["sinks:", "  out:", f"    type: {section}", f"    {name}: {value}"]

    problems = refused(
        "\n".join(line for each in lines.values() for line in each) + "\n", ENV="hunter2"
    )

    assert problems
    assert "hunter2" not in "".join(problems)


@pytest.mark.usefixtures("acme")
def test_the_schema_lets_a_secret_or_its_file_stand_and_not_both() -> None:
    """An editor says what the loader would."""
    validator = Draft202012Validator(json_schema())

    def valid(**settings: object) -> bool:
        sink = {"type": "acme", **settings}
        return validator.is_valid(
            {"kinetica": {"urls": "a"}, "tables": [{"name": "s.t"}], "sinks": {"out": sink}}
        )

    assert valid(api_key="x")
    assert valid(api_key_file="/x")
    assert not valid()
    assert not valid(api_key="x", api_key_file="/x")


def test_secrets_are_taken_out_of_any_text(read: Read) -> None:
    """Also as a library writes them: quoted for a URL, escaped, encoded with the user's name."""
    secrets = Secrets()
    secrets.add(
        read(
            "kinetica: {urls: a, username: me, password: 'top/se\"cret'}\n"
            "tables: [{name: s.t}]\n"
            "sinks:\n"
            "  hook:\n"
            "    type: webhook\n"
            "    url: https://host/x?sig=abcdef\n"
            "    headers: {X-Api-Key: hunter22}\n"
        )
    )

    for shown in ('top/se"cret', "top%2Fse%22cret", 'top/se\\"cret', "bWU6dG9wL3NlImNyZXQ="):
        assert secrets.hide(f"<{shown}>") == "<**********>"
    assert secrets.hide("'X-Api-Key': 'hunter22'") == "'X-Api-Key': '**********'"
    assert "sig=abcdef" not in secrets.hide("Max retries: /x?sig=abcdef")
    assert secrets.hide("nothing of it") == "nothing of it"


@pytest.mark.parametrize(
    "setting",
    [
        "type: postgres, dsn: 'postgresql://u:hunter%2F22@h/d'",
        "type: postgres, dsn: 'postgresql://h/d?user=u&password=hunter%2F22'",
        "type: postgres, dsn: 'host=h password=hunter/22 dbname=d'",
        """type: postgres, dsn: "host=h password = 'hunter/22' dbname=d\"""",
        "type: redis, url: 'redis://:hunter%2F22@h:6379/0'",
    ],
)
def test_a_password_within_an_address_is_taken_out_alone(read: Read, setting: str) -> None:
    """A library has the address in parts, and quotes one of them."""
    secrets = Secrets()
    secrets.add(
        read(f"kinetica: {{urls: a}}\ntables: [{{name: s.t}}]\nsinks: {{out: {{{setting}}}}}\n")
    )

    assert secrets.hide("login 'hunter/22' is wrong") == "login '**********' is wrong"


def test_a_secret_too_short_to_hide_leaves_texts_as_they_are(read: Read) -> None:
    """It is taken for an innocent word, never for a pattern that matches everywhere."""
    secrets = Secrets()

    secrets.add(read("kinetica: {urls: a, token: abc}\ntables: [{name: s.t}]\n"))

    assert secrets.hide("table s.t is live") == "table s.t is live"


def test_secrets_of_an_earlier_configuration_stay_hidden(read: Read) -> None:
    """A reload may take the last secret away while its name is still in somebody's error."""
    secrets = Secrets()
    secrets.add(read("kinetica: {urls: a, token: hunter22}\ntables: [{name: s.t}]\n"))

    secrets.add(read("kinetica: {urls: a}\ntables: [{name: s.t}]\n"))

    assert secrets.hide("hunter22 was refused") == "********** was refused"
