"""Runs on a broker: what is refused leaves them whole."""

import pytest

from streams.errors import BrokerError, RunError
from streams.run_catalog import delete_run, expect_new, get_run, list_runs, put_run
from streams.transport.memory_client import MemoryClient
from tests import factories


class Joined(MemoryClient):
    """A client of a broker on which every group still has members."""

    def delete_group(self, group: str) -> None:
        raise BrokerError(f"group {group} still has members")


def test_a_refused_deletion_leaves_the_run_whole():
    client = Joined("run-catalog-refused")
    record = factories.run_record()
    put_run(client, record)
    before = dict(client.topics())
    with pytest.raises(BrokerError, match="still has members"):
        delete_run(client, record)
    assert client.topics() == before
    assert get_run(client, record.name).name == record.name


def test_a_deleted_run_is_gone():
    client = MemoryClient("run-catalog-gone")
    record = factories.run_record()
    put_run(client, record)
    delete_run(client, record)
    assert list_runs(client) == []


def test_a_taken_name_is_seen_before_anything_is_written():
    client = MemoryClient("run-catalog-taken")
    put_run(client, factories.run_record())
    before = dict(client.topics())
    assert expect_new(client, factories.run_record(created="later")).created != "later"
    with pytest.raises(RunError, match="with other settings exists"):
        expect_new(client, factories.run_record(k=77))
    assert client.topics() == before
