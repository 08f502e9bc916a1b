"""Deleting runs and corpora: what goes is said and agreed to, and what is left can be looked at."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.runs.deletion import plan_run_removal
from millrace import confirmation
from streams import topics
from streams.catalog.runs import list_runs
from streams.snapshots.kept_files import is_kept_by
from streams.snapshots.run_files import find_run_files, remove_run_files
from streams.snapshots.store import open_store, read_manifest
from streams.transport.memory.broker import broker as embedded
from streams.transport.memory.broker import forget
from tests.millrace.conftest import Ended, Program
from tests.service import Service, make_service

NAME = "deleting"
BROKER = f"memory://{NAME}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def service(store: Path) -> Iterator[Service]:
    yield make_service(BROKER, store, "test", keep="activations")
    forget(NAME)


@pytest.fixture
def finished(service: Service) -> Service:
    service.serve(1, 1)
    return service


@pytest.fixture
def millrace(program: Program) -> Program:
    def run(*arguments: object) -> Ended:
        return program(*arguments, "--broker", BROKER)

    return run


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_finished_run_is_shown_after_its_corpus_was_deleted(
    millrace: Program, finished: Service
) -> None:
    assert millrace("corpora", "delete", "test-text", "--yes").status == 0
    shown = millrace("runs", "show", "test")
    assert (shown.status, shown.lines) == (0, [])
    assert "corpus test-text (deleted)" in shown.out
    assert "activations: done, the final snapshot holds the whole corpus" in shown.out
    assert "snapshot final: final" in shown.out
    status = json.loads(millrace("runs", "show", "test", "--json").out)
    assert (status["finished"], status["corpus_on_broker"]) == (True, False)
    assert status["sides"][0]["records"] is None
    assert millrace("repair", "--run", "test").status == 0
    assert millrace("dlq", "list", "--run", "test").status == 0
    for side in ("activations", "aggregates"):
        ended = millrace(side, "--run", "test")
        assert (ended.status, ended.lines) == (
            0,
            ["run test is finished and its corpus was deleted: nothing to do"],
        )
    assert "is not on the broker any more" in millrace("snapshot", "--run", "test").refusal()


def test_an_unfinished_run_whose_corpus_was_deleted_says_so_everywhere(
    millrace: Program, service: Service
) -> None:
    ended = millrace("corpora", "delete", "test-text", "--yes")
    assert "unfinished runs need it and can never be finished then: test" in ended.out
    shown = millrace("runs", "show", "test")
    assert shown.status == 0
    assert "so the run cannot be finished" in shown.out
    for verb in ("activations", "aggregates", "repair", "snapshot"):
        assert "is not on the broker any more" in millrace(verb, "--run", "test").refusal()
    assert millrace("runs", "delete", "test", "--yes").status == 0


def test_without_a_terminal_nothing_is_deleted_that_was_not_agreed_to(
    millrace: Program, finished: Service, store: Path
) -> None:
    before = files_in(store)
    for verb, name in (("runs", "test"), ("corpora", "test-text")):
        ended = millrace(verb, "delete", name)
        assert ended.status == 2
        assert "add --yes" in ended.lines[-1]
        assert f"deleting {'run' if verb == 'runs' else 'corpus'} {name}" in ended.out
    assert [run.name for run in list_runs(finished.client)] == ["test"]
    assert "tokens.test-text" in finished.client.topics()
    assert files_in(store) == before


@pytest.mark.parametrize(("answer", "left"), [("n\n", ["test"]), ("y\n", [])])
def test_on_a_terminal_the_user_is_asked(
    millrace: Program,
    finished: Service,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    left: list[str],
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(confirmation.sys, "stdin", Terminal(answer))  # type: ignore[attr-defined]
    ended = millrace("runs", "delete", "test")
    assert "Delete run test? [y/N]" in " ".join(ended.lines)
    assert ended.status == (1 if left else 0)
    assert [run.name for run in list_runs(finished.client)] == left


def test_a_deleted_run_takes_its_files_along_and_no_other(
    millrace: Program, finished: Service, store: Path
) -> None:
    parts = store / "test" / "parts"
    strange = [store / "test" / "notes.txt", parts / "hits-0000-other.parquet"]
    for path in strange:
        path.write_text("mine")
    elsewhere = store.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "manifest.json").write_text("{}")
    (store / "test" / "linked").symlink_to(elsewhere)
    draft = parts / f"hits-0001.{'0' * 32}.tmp"
    draft.write_text("half")
    places = [path.relative_to(store / "test").as_posix() for path in files_in(store / "test")]
    kept = sum(is_kept_by(place, finished.plan.id) for place in places)
    assert kept
    ended = millrace("runs", "delete", "test", "--yes")
    assert ended.status == 0
    for said in (
        "topic partials.test with",
        "consumer group aggregates.test",
        "published manifests of snapshots: final",
        f"files of its snapshots, {kept} of them kept activations, (",
        "3 other files",
        "corpus test-text stays",
    ):
        assert said in ended.out
    assert files_in(store / "test") == sorted(strange)
    assert (elsewhere / "manifest.json").exists()
    assert list_runs(finished.client) == []
    assert not {"partials.test", topics.changelog("test", 1, 0).name} & set(
        finished.client.topics()
    )


def test_a_store_without_strangers_is_left_empty(
    millrace: Program, finished: Service, store: Path
) -> None:
    assert millrace("runs", "delete", "test", "--yes").status == 0
    assert list(store.iterdir()) == []


def test_files_may_stay(millrace: Program, finished: Service, store: Path) -> None:
    before = files_in(store)
    ended = millrace("runs", "delete", "test", "--yes", "--keep-snapshots")
    assert f"files of its snapshots stay in {store}/test" in ended.out
    assert files_in(store) == before


def test_parts_of_another_run_of_the_same_name_stay(finished: Service, store: Path) -> None:
    there = find_run_files(open_store(str(store)), "test", "another run's id", ())
    assert there.owned == ()
    assert len(there.others) == len(files_in(store))
    ours = find_run_files(open_store(str(store)), "test", finished.plan.id, ())
    assert len(ours.owned) == len(files_in(store))


@pytest.mark.parametrize(
    "path", ["../outside.parquet", "/etc/passwd", "parts/../../outside.parquet", "notes.txt"]
)
def test_a_published_manifest_cannot_name_what_is_removed(
    finished: Service, store: Path, path: str
) -> None:
    outside = store.parent / "outside.parquet"
    outside.write_text("not ours")
    files = find_run_files(open_store(str(store)), "test", finished.plan.id, [path])
    assert path not in files.owned
    remove_run_files(open_store(str(store)), files)
    assert outside.exists()


def test_a_run_with_workers_is_left_as_it_is(
    millrace: Program, finished: Service, store: Path
) -> None:
    embedded(NAME).group(topics.aggregates_app("test")).members["somebody"] = object()  # type: ignore[assignment]
    assert "still has 1 members" in millrace("runs", "delete", "test", "--yes").lines[-1]
    assert read_manifest(str(store / "test" / "final")).final
    assert plan_run_removal(finished.client, finished.plan.run, keep_files=True).finished


def test_a_run_whose_record_is_unreadable_is_deleted_by_its_name_once_that_is_agreed_to(
    millrace: Program, finished: Service, store: Path
) -> None:
    with finished.client.sender() as sender:
        sender.send(topics.RUNS.name, 0, b"\1junk", key=b"test")
        sender.flush()
    before = files_in(store)
    assert "runs delete test removes it" in millrace("runs", "show", "test").refusal()
    asked = millrace("runs", "delete", "test")
    assert (asked.status, asked.lines) == (
        2,
        [
            "millrace: error: nothing was deleted: there is no terminal to ask on; add --yes to "
            "delete run test"
        ],
    )
    ended = millrace("runs", "delete", "test", "--yes")
    assert ended.status == 0
    assert "the record of run 'test' cannot be used" in ended.out
    assert "  topic partials.test with " in ended.out
    assert "the files of its snapshots stay" in ended.out
    assert not [name for name in finished.client.topics() if name.startswith("partials.")]
    assert "there is no run 'test'" in millrace("runs", "show", "test").lines[-1]
    assert files_in(store) == before
    assert "../test" in millrace("runs", "delete", "../test", "--yes").refusal()
