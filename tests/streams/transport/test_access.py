"""Addresses and prefixes of brokers, and what of theirs may be shown."""

import ssl
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams import topics
from streams.errors import SettingsError
from streams.transport.access import BrokerAccess, check_prefix
from streams.transport.connect import connect
from streams.transport.security import Sasl, Security, Tls
from tests.streams.strategies import quick


@pytest.mark.parametrize(
    "address",
    [
        "kafka://me:hunter2@host:9092",
        "kafka://a:9092,me:hunter2@b:9092",
        "kafka://me:hun/ter2@host:9092/hunter2@x",
        "me:hunter2@host:9092",
        "kafka:me:hunter2@host:9092",
        "SASL_SSL://me:hunter2@host:9092",
        "memory://me:hunter2@local",
        "kafka://hunter2@host:9092",
        "kafka://host:9092?password=hunter2",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_quoted(address: str) -> None:
    with pytest.raises(SettingsError) as raised:
        connect(address)
    assert "hunter2" not in str(raised.value)
    assert "MILLRACE_KAFKA__PASSWORD_FILE" in str(raised.value)


@pytest.mark.parametrize("address", ["", "host:9092", "kafka://", "redis://host", "kafka"])
def test_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="is no address: take kafka://host:port"):
        BrokerAccess(address)


def test_secrets_are_no_part_of_what_is_printed() -> None:
    tls = Tls(Path("ca.pem"), Path("c.pem"), key_password="hunter2")
    access = BrokerAccess("kafka://host:1", "a.", Security(tls, Sasl("me", "hunter2")))
    assert "hunter2" not in repr(access)
    assert "hunter2" not in f"{access} {access.security.sasl}"
    assert access == BrokerAccess("kafka://host:1", "a.", Security(tls, Sasl("me", "hunter2")))


@pytest.mark.parametrize("prefix", ["team-a.", "a", "A_b-", "x" * 80, "0.1-", ""])
def test_usable_prefixes_are_given_back(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix", [".", "__", "-a", "a b", "a/", "a\n", "ü", "x" * 81, "a.tokens."]
)
def test_other_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"prefix .* is not usable"):
        check_prefix(prefix)


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,6}", fullmatch=True) | st.sampled_from(
    ["runs", "corpora", "my-runs", "x-snapshots"]
)
ours = st.one_of(
    st.sampled_from([topic.name for topic in topics.SHARED]),
    names.map(lambda name: topics.tokens(name, 1).name),
    names.map(lambda name: topics.partials(name, 1, 1).name),
    names.map(lambda name: topics.changelog(name, 1, 1).name),
    names.map(topics.activations_app),
)
prefixes = st.from_regex(r"([a-z]{0,2}[.-]?|tokens\.my-|partials\.){1,2}", fullmatch=True)


@quick
@given(prefixes, prefixes, ours, ours)
def test_names_of_two_prefixes_never_meet(a: str, b: str, one: str, other: str) -> None:
    assume(a != b)
    try:
        first, second = BrokerAccess("memory://m", a), BrokerAccess("memory://m", b)
    except SettingsError:
        return
    assert first.full(one) != second.full(other)


def test_a_host_name_is_checked_unless_that_is_turned_off() -> None:
    context = Security(Tls()).context()
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    unchecked = Security(Tls(check_hostname=False)).context()
    assert unchecked is not None
    assert (unchecked.check_hostname, unchecked.verify_mode) == (False, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (Tls(Path("/no/ca.pem")), "kafka.ca /no/ca.pem: No such file"),
        (Tls(Path(__file__)), "holds no certificate in PEM form"),
        (Tls(certificate=Path("/no/c.pem")), "client certificate /no/c.pem: No such file"),
        (Tls(certificate=Path(__file__)), "do not belong together, or kafka.key_password"),
    ],
)
def test_files_that_are_no_certificates_are_named(tls: Tls, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        tls.context()
