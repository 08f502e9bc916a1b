import pytest

from streams import topics
from streams.catalog.corpora import get_corpus
from streams.catalog.runs import delete_run, expect_new, get_run, list_runs, put_run
from streams.errors import BrokerError, CorpusError, RunError, UnreadableRunError
from streams.records.run_identity import run_id
from streams.records.runs import with_parameters
from streams.wire import codec
from tests import factories
from tests.producers.conftest import new_client
from tests.streams.same import bits


@pytest.fixture
def client():
    return new_client()


def run(name="prose", **changes):
    return factories.run_record(name=name, **changes)


def put(client, topic, *records):
    with client.sender() as sender:
        for key, value in records:
            sender.send(topic, 0, value, key=key)
        sender.flush()


def test_a_broker_without_topics_has_no_runs(client):
    assert list_runs(client) == []


def test_a_run_comes_back_as_it_was_put(client):
    put_run(client, run())
    assert bits(get_run(client, "prose")) == bits(run())


def test_a_run_brings_its_topics(client):
    put_run(client, run())
    found = client.topics()
    assert found["partials.prose"] == found["aggregates.prose-buckets-changelog"] == 3
    assert {"corpora", "runs", "snapshots", "dead-letters"} <= found.keys()


def test_runs_are_listed_by_name(client):
    for name in ("b", "c", "a"):
        put_run(client, run(name))
    assert [record.name for record in list_runs(client)] == ["a", "b", "c"]


def test_the_same_settings_again_change_nothing(client):
    put_run(client, run(created="monday"))
    put_run(client, run(created="tuesday"))
    assert get_run(client, "prose").created == "monday"
    assert len(list_runs(client)) == 1


def test_other_settings_under_a_name_that_is_taken_are_refused(client):
    put_run(client, run())
    with pytest.raises(RunError, match="a run 'prose' with other settings exists"):
        put_run(client, run(k=4))
    assert run_id(get_run(client, "prose")) == run_id(run())


def test_an_unknown_run_is_refused_with_the_known_ones(client):
    with pytest.raises(RunError, match=r"no run 'x' \(known: none\)"):
        get_run(client, "x")
    put_run(client, run("a"))
    put_run(client, run("b"))
    with pytest.raises(RunError, match=r"no run 'x' \(known: a, b\)"):
        get_run(client, "x")


def test_junk_hides_no_run(client, caplog):
    put_run(client, run())
    put(client, "runs", (b"prose", b"\1junk"), (b"other", codec.encode(run("elsewhere"))))
    assert [record.name for record in list_runs(client)] == ["prose"]
    assert "unreadable record in runs" in caplog.text


def test_a_run_of_a_newer_version_hides_no_other(client, caplog):
    put_run(client, run())
    put(client, "runs", (b"later", b"\3" + codec.encode(run("later"))[1:]))
    assert [record.name for record in list_runs(client)] == ["prose"]
    assert "version 3" in caplog.text


def test_a_run_or_corpus_of_an_earlier_form_is_refused_with_what_to_do(client):
    put_run(client, run("other"))
    for topic in ("runs", "corpora"):
        put(client, topic, (b"prose", b"\1\x80"))
    line = "earlier form of Millrace .version 1.; make the corpus and the run again"
    with pytest.raises(RunError, match=f"run 'prose' cannot be used: .*{line}"):
        get_run(client, "prose")
    with pytest.raises(CorpusError, match=f"corpus 'prose' cannot be used: .*{line}"):
        get_corpus(client, "prose")


def test_a_deleted_run_leaves_the_others_and_its_name_is_free(client):
    put_run(client, run())
    put_run(client, run("prose-2"))
    manifests = [(key, b"{}") for key in (b"prose/final", b"prose/final/0", b"prose-2/final")]
    put(client, topics.SNAPSHOTS.name, *manifests)
    delete_run(client, run().name)
    assert [record.name for record in list_runs(client)] == ["prose-2"]
    assert not [name for name in client.topics() if name.startswith("partials.prose")][1:]
    kept = {r.key for r in client.read("snapshots", 0) if r.value is not None}
    gone = {r.key for r in client.read("snapshots", 0) if r.value is None}
    assert b"prose-2/final" in kept - gone
    assert {b"prose/final", b"prose/final/0"} == gone
    put_run(client, with_parameters(run(), k=9))
    assert get_run(client, "prose").k == 9


def test_a_refused_deletion_leaves_the_run_whole(client, monkeypatch):
    def refuse(group):
        raise BrokerError(f"group {group} still has members")

    put_run(client, run())
    before = dict(client.topics())
    monkeypatch.setattr(client, "delete_group", refuse)
    with pytest.raises(BrokerError, match="still has members"):
        delete_run(client, run().name)
    assert client.topics() == before
    assert get_run(client, "prose").name == "prose"


def test_a_taken_name_is_seen_before_anything_is_written(client):
    put_run(client, run(created="monday"))
    before = dict(client.topics())
    assert expect_new(client, run(created="tuesday")).created == "monday"
    with pytest.raises(RunError, match="with other settings exists"):
        expect_new(client, run(k=4))
    assert client.topics() == before


@pytest.mark.parametrize("value", [b"\1junk", b"", codec.encode(run("elsewhere"))])
def test_a_run_whose_record_cannot_be_used_can_be_deleted_by_its_name(client, value):
    put_run(client, run())
    put_run(client, run("other"))
    put(client, "runs", (b"prose", value))
    with pytest.raises(UnreadableRunError, match=r"cannot be used: .* runs delete prose"):
        get_run(client, "prose")
    delete_run(client, "prose")
    assert [record.name for record in list_runs(client)] == ["other"]
    assert not [name for name in client.topics() if "prose" in name]
    put_run(client, run())
