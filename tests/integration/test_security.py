"""Passwords and certificates on a real broker: from produce to the final snapshot, and refusals."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streams.errors import AccessError
from streams.snapshots.table_hashes import verify
from streams.transport.access import BrokerAccess
from streams.transport.connect import connect
from streams.transport.security import Sasl, Security, Tls
from tests.integration.certificates import KEY_PASSWORD
from tests.integration.secured_kafka import TEAM, TEAM_PASSWORD, SecuredKafka
from tests.service import make_service

pytestmark = pytest.mark.kafka

# Nothing retries a refusal for longer than this; each is said after a second or so.
REFUSAL_SECONDS = 20.0


def assert_exact_run(access: BrokerAccess, run: str, store: Path) -> None:
    service = make_service(access, store, run)
    service.serve(2, 2)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    assert verify(manifest) == manifest.content


def test_a_run_over_sasl_ssl_has_the_content_of_the_oracle(
    secured: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    assert_exact_run(secured.team("team-a."), prefix, tmp_path)
    every = connect(secured.admin)
    made = [name for name in every.topics() if prefix in name]
    assert len(made) == 3
    assert all(name.startswith("team-a.") for name in made)
    assert not [name for name in every.topics() if not name.startswith("team-")]


def test_two_prefixes_run_side_by_side_under_one_name(
    secured: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    first, second = secured.team(f"{prefix}-a."), secured.team(f"{prefix}-b.")
    assert_exact_run(first, "same", tmp_path / "a")
    assert "runs" not in connect(second).topics()
    assert_exact_run(second, "same", tmp_path / "b")


def over_ssl(secured: SecuredKafka) -> BrokerAccess:
    made = secured.certificates
    tls = Tls(made.authority, made.client, made.encrypted_key, KEY_PASSWORD)
    return BrokerAccess(secured.at(secured.ssl), "mtls.", Security(tls))


def over_sasl_plaintext(secured: SecuredKafka) -> BrokerAccess:
    sasl = Sasl(TEAM, TEAM_PASSWORD, "SCRAM-SHA-256")
    return BrokerAccess(secured.at(secured.sasl_plaintext), "plain.", Security(None, sasl))


def over_plain(secured: SecuredKafka) -> BrokerAccess:
    return secured.team("words.", "PLAIN")


@pytest.mark.parametrize("way", [over_ssl, over_sasl_plaintext, over_plain])
def test_the_other_ways_in_come_to_the_same(
    way: Callable[[SecuredKafka], BrokerAccess], secured: SecuredKafka, tmp_path: Path
) -> None:
    assert_exact_run(way(secured), "run", tmp_path)


def wrong_password(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), sasl=Sasl(TEAM, "hunter2"))


def wrong_plain_password(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), sasl=Sasl(TEAM, "hunter2", "PLAIN"))


def unknown_user(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), sasl=Sasl("nobody", TEAM_PASSWORD))


def no_user(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), sasl=None)


def unknown_authority(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), tls=Tls(secured.certificates.stranger))


def system_authorities(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), tls=Tls())


def wrong_host(secured: SecuredKafka) -> BrokerAccess:
    return replace(secured.team(), address=secured.at(secured.sasl_ssl, "127.0.0.1"))


def no_client_certificate(secured: SecuredKafka) -> BrokerAccess:
    return with_security(over_ssl(secured), tls=secured.tls())


def expired_client_certificate(secured: SecuredKafka) -> BrokerAccess:
    made = secured.certificates
    return with_security(over_ssl(secured), tls=Tls(made.authority, made.expired))


def foreign_client_certificate(secured: SecuredKafka) -> BrokerAccess:
    made = secured.certificates
    return with_security(over_ssl(secured), tls=Tls(made.authority, made.foreign))


def no_tls(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), tls=None)


def nothing(secured: SecuredKafka) -> BrokerAccess:
    return with_security(secured.team(), tls=None, sasl=None)


def tls_to_plaintext(secured: SecuredKafka) -> BrokerAccess:
    return BrokerAccess(secured.admin, security=Security(secured.tls()))


def sasl_to_plaintext(secured: SecuredKafka) -> BrokerAccess:
    return BrokerAccess(secured.admin, security=Security(None, Sasl(TEAM, TEAM_PASSWORD)))


def with_security(access: BrokerAccess, **changes: object) -> BrokerAccess:
    return replace(access, security=replace(access.security, **changes))  # type: ignore[arg-type]


REFUSED = [
    (wrong_password, "does not accept user and password"),
    (wrong_plain_password, "does not accept user and password"),
    (unknown_user, "does not accept user and password"),
    (no_user, "may want a user"),
    (unknown_authority, "certificate is of an unknown authority; name the authority's in kafka.ca"),
    (system_authorities, "certificate is of an unknown authority"),
    (wrong_host, "certificate is not for 127.0.0.1"),
    (no_client_certificate, "does not accept our client certificate"),
    (expired_client_certificate, "does not accept our client certificate"),
    (foreign_client_certificate, "does not accept our client certificate"),
    (no_tls, "may want TLS"),
    (nothing, "may want TLS (kafka.tls = true) or a user"),
    (tls_to_plaintext, "does not speak TLS at this port"),
    (sasl_to_plaintext, "takes no SASL here"),
]


@pytest.mark.parametrize(("way", "said"), REFUSED, ids=[way.__name__ for way, _ in REFUSED])
def test_who_is_not_let_in_is_told_why_in_one_line_and_soon(
    way: Callable[[SecuredKafka], BrokerAccess], said: str, secured: SecuredKafka
) -> None:
    access, began = way(secured), time.monotonic()
    with pytest.raises(AccessError) as raised:
        connect(access)
    assert time.monotonic() - began < REFUSAL_SECONDS
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_host_name_is_not_checked_if_that_is_said(secured: SecuredKafka) -> None:
    tls = replace(secured.tls(), check_hostname=False)
    assert connect(with_security(wrong_host(secured), tls=tls)).topics() is not None


def environment(access: BrokerAccess, password_file: Path) -> dict[str, str]:
    """Return variables that say how to come in, without those of this process that would."""
    tls, sasl = access.security.tls, access.security.sasl
    assert tls is not None
    assert sasl is not None
    password_file.write_text(f"{sasl.password}\n")
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("MILLRACE_")},
        "MILLRACE_BROKER": access.address,
        "MILLRACE_KAFKA__PREFIX": access.prefix,
        "MILLRACE_KAFKA__CA": str(tls.authority),
        "MILLRACE_KAFKA__USER": sasl.user,
        "MILLRACE_KAFKA__PASSWORD_FILE": str(password_file),
    }


def program(variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "millrace", *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_verbs_come_in_by_variables_and_a_secret_file(
    secured: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    access = secured.team(f"{prefix}.")
    make_service(access, tmp_path, "run").serve(1, 1)
    variables = environment(access, tmp_path / "password")
    for arguments in (("runs", "list"), ("runs", "show", "run"), ("corpora", "list")):
        done = program(variables, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "run" in done.stdout
        assert TEAM_PASSWORD not in done.stdout
    ended = program(variables, "aggregates", "--run", "run", "--until-done")
    assert ended.returncode == 0
    assert TEAM_PASSWORD not in ended.stderr


def test_a_password_is_not_said_however_much_is(
    secured: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    access = secured.team(f"{prefix}.", "PLAIN")
    make_service(access, tmp_path, "run").serve(1, 1)
    variables = environment(access, tmp_path / "password")
    variables["MILLRACE_KAFKA__MECHANISM"] = "PLAIN"
    done = program(variables, "-vv", "aggregates", "--run", "run", "--until-done")
    assert done.returncode == 0
    assert "aiokafka" in done.stderr
    assert TEAM_PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize("verb", ["runs list", "produce x --tokenizer t", "aggregates --run r"])
def test_verbs_that_are_not_let_in_end_with_status_2(
    verb: str, secured: SecuredKafka, tmp_path: Path
) -> None:
    refused = environment(wrong_password(secured), tmp_path / "password")
    done = program(refused, *verb.split())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("millrace: error: Kafka at localhost:")
    assert "does not accept user and password" in done.stderr
    assert "hunter2" not in done.stderr
