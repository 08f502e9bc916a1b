"""What verbs list, for people and for programs, with a broker and without one."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.health.run_status import RunStatus
from millrace.listings import ListedCorpus, ListedDeadLetter, ListedRun, RunList
from streams.transport.memory.broker import forget
from tests.millrace.conftest import Program
from tests.service import Service, make_service

NAME = "listing"
BROKER = f"memory://{NAME}"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield make_service(BROKER, tmp_path / "store", "test")
    forget(NAME)


def keys(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_runs_and_corpora_have_the_keys_of_their_schema(program: Program, service: Service) -> None:
    listed = json.loads(program("runs", "list", "--broker", BROKER, "--json").out)
    assert list(listed) == keys(RunList)
    assert [list(run) for run in listed["runs"]] == [keys(ListedRun)]
    assert listed["stored"] == []
    shown = json.loads(
        program("runs", "show", "test", "--rate-seconds", 0, "--broker", BROKER, "--json").out
    )
    assert list(shown) == keys(RunStatus)
    assert shown["sides"][0] == {
        "side": "activations",
        "topic": "tokens.test-text",
        "records": 52,
        "acknowledged": 0,
        "lag": 52,
        "records_per_second": None,
        "eta_seconds": None,
        "watermark": 0.0,
        "workers": 0,
    }
    (corpus,) = json.loads(program("corpora", "list", "--broker", BROKER, "--json").out)
    assert list(corpus) == keys(ListedCorpus)
    assert corpus["records"] is None
    one = json.loads(program("corpora", "show", "test-text", "--broker", BROKER, "--json").out)
    assert one == corpus | {"records": {str(p): 13 for p in range(4)}}


def test_dead_letters_have_the_keys_of_their_schema(program: Program, service: Service) -> None:
    from tests.integration.test_repair import activations_done

    with service.client.sender() as sender:
        sender.send("tokens.test-text", 0, b"junk", key=b"k")
    service.serve(1, 0, until=lambda: activations_done(service))
    (letter,) = json.loads(program("dlq", "list", "--broker", BROKER, "--json").out)
    assert list(letter) == keys(ListedDeadLetter)
    assert (letter["topic"], letter["error"], letter["times"]) == (
        "tokens.test-text",
        "UndecodableError",
        1,
    )
    assert (letter["key"], letter["value"]) == (None, None)
    shown = json.loads(program("dlq", "show", letter["number"], "--broker", BROKER, "--json").out)
    assert (shown["key"], shown["value"]) == ("aw==", "anVuaw==")


@pytest.mark.parametrize(
    "verb", [["corpora", "list"], ["dlq", "list"], ["runs", "list"]], ids=" ".join
)
@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["lines", "json"])
def test_without_a_broker_there_is_nothing_to_list_and_that_is_said(
    program: Program, verb: list[str], json_option: tuple[str, ...]
) -> None:
    said = program(*verb, *json_option).refusal()
    assert said.startswith("there is no broker: memory://local lives inside one program")
    assert "--broker kafka://HOST:PORT" in said


def test_without_a_broker_runs_list_shows_what_lies_in_the_store(
    program: Program, service: Service, tmp_path: Path
) -> None:
    service.serve(1, 1)
    store = tmp_path / "store"
    (store / "broken" / "noon").mkdir(parents=True)
    (store / "broken" / "noon" / "manifest.json").write_text("junk")
    (store / "No Name").mkdir()
    shutil.copytree(store / "test" / "final", store / "No Name" / "final")
    ended = program("runs", "list", "--store", store)
    assert ended.status == 0
    assert "there is no broker" in ended.lines[0]
    broken, final = ended.out.splitlines()
    assert broken.startswith("broken  snapshot noon  unreadable run manifest")
    assert final.startswith("test  snapshot final  final, ")
    assert final.endswith(f"{store}/test/final/manifest.json")
    listed = json.loads(program("runs", "list", "--store", store, "--json").out)
    assert listed["runs"] == []
    assert [(s["run"], s["final"]) for s in listed["stored"]] == [("broken", False), ("test", True)]


def test_a_run_under_way_shows_its_rate_and_time_left(
    program: Program, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumers.health import run_status as module

    def work(_: float) -> None:
        service.client._broker.commit(  # type: ignore[attr-defined]
            "activations.test", {("tokens.test-text", p): 4 for p in range(4)}
        )

    status = module.run_status(
        service.client, service.plan.run, 2.0, sleep=work, clock=iter((10.0, 12.0)).__next__
    )
    activations, aggregates = status.sides
    assert (activations.records_per_second, activations.eta_seconds) == (8.0, 36 / 8)
    assert aggregates.records_per_second is not None
    lines = list(module.status_lines(status))
    assert "activations: 16 of 52 records acknowledged, lag 36, 8.0 records/s, ETA 4s" in lines


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["rnu"], "run"),
        (["activation"], "activations"),
        (["runs", "lst"], "list"),
        (["corpora", "delte"], "delete"),
        (["dlq", "shwo"], "show"),
    ],
    ids=" ".join,
)
def test_a_mistyped_verb_gets_a_suggestion(program: Program, words: list[str], verb: str) -> None:
    said = program(*words).refusal()
    assert f"No such command '{words[-1]}'. Did you mean " in said
    assert verb in said.partition("Did you mean ")[2]


def test_a_verb_like_no_other_gets_none(program: Program) -> None:
    assert "Did you mean" not in program("xyzzy").refusal()
