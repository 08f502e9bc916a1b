"""Connections that the broker ends, and a password that is another one by then."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from streams.errors import AccessError
from streams.records.corpus import TokenBatch
from streams.transport.access import BrokerAccess
from streams.transport.client import Client
from streams.transport.connect import connect
from tests.integration.secured_kafka import (
    BRIEF_MILLISECONDS,
    TEMPORARY,
    TEMPORARY_PASSWORD,
    SecuredKafka,
)
from tests.integration.test_repair import activations_done
from tests.service import PATIENCE, Service, make_service

pytestmark = pytest.mark.kafka


@dataclass
class Slow:
    """An engine that takes a part of a connection's life for each batch."""

    inner: Any

    def compute(self, batch: TokenBatch, valid: Any) -> Any:
        time.sleep(BRIEF_MILLISECONDS / 4000)
        return self.inner.compute(batch, valid)


def slow_service(secured: SecuredKafka, store: Path, prefix: str) -> Service:
    made = make_service(secured.temporary(f"team-{prefix}."), store, "run")
    return replace(made, engine=Slow(made.engine))


def test_a_run_outlives_its_connections(secured: SecuredKafka, prefix: str, tmp_path: Path) -> None:
    service = slow_service(secured, tmp_path, prefix)
    began = time.monotonic()
    service.serve(1, 1)
    assert time.monotonic() - began > 2 * BRIEF_MILLISECONDS / 1000
    assert_exact(service)


def assert_exact(service: Service) -> None:
    assert isinstance(service.engine, Slow)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == replace(service, engine=service.engine.inner).expected()


def set_password(secured: SecuredKafka, password: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=secured.admin.removeprefix("kafka://"))
    to = UserScramCredentialUpsertion(TEMPORARY, ScramMechanism.SCRAM_SHA_256, password)
    answer = admin.alter_user_scram_credentials([to])
    admin.close()
    assert not any(answer.values()), answer


@pytest.mark.parametrize("side", ["activations", "aggregates"])
def test_a_worker_whose_password_is_changed_ends_and_the_next_one_goes_on(
    side: str, secured: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    service = slow_service(secured, tmp_path, prefix)
    if side == "aggregates":
        service.serve(1, 0, until=lambda: activations_done(service))
    workers = (1, 0) if side == "activations" else (0, 1)
    changed: list[str] = []

    def until() -> bool:
        if not changed:
            changed.append("another one")
            set_password(secured, *changed)
        return False

    try:
        with pytest.raises(AccessError, match="password") as raised:
            service.serve(*workers, until=until)
    finally:
        set_password(secured, TEMPORARY_PASSWORD)
    assert len(str(raised.value).splitlines()) == 1
    again = replace(service, client=let_in(service.broker))
    again.serve(1, 1)
    assert_exact(again)


def let_in(broker: BrokerAccess | str) -> Client:
    """Return a client once the broker has taken up a password, which takes it a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(broker)
        except AccessError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
