"""Which files a configuration names, so that a change of theirs is noticed."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from bridge.config import files_digest, named_files, paths_in


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"options": {"ssl.ca.location": SecretStr("/ca")}}, ["/ca"]),
        ({"dsn": SecretStr("host=db sslrootcert=/ca password=x")}, ["/ca"]),
        ({"dsn": r"sslkey = '/my key\'s' sslcert=/cert"}, ["/my key's", "/cert"]),
        ({"dsn": "postgresql://db/orders?sslmode=verify-full&sslrootcert=%2Fca&x=1"}, ["/ca"]),
        ({"url": SecretStr("rediss://h:1/0?ssl_ca_certs=/ca#sslkey")}, ["/ca"]),
        ({"dsn": "host=db dbname=sslkeys", "password": SecretStr("hunter2")}, []),
    ],
)
def test_paths_are_found_in_secrets_and_in_connection_strings(
    settings: dict[str, object], paths: list[str]
) -> None:
    """What librdkafka, libpq and Redis are told of certificates is kept as a secret, or in one."""
    assert list(paths_in(settings)) == paths


def test_a_path_that_no_file_can_have_is_one_that_is_not_there() -> None:
    """It is refused when the configuration is read; who only looks has no trouble with it."""
    named = named_files(rb'kinetica: {password_file: "\ud800"}')

    assert named == ["\ud800"]
    assert files_digest(named) != files_digest([])
