"""The verbs of those who wait for a snapshot that will never be there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.health.run_status import run_status, status_lines
from consumers.plan import Plan
from consumers.snapshots.snapshots import publish, published
from consumers.snapshots.withdrawals import MOST, withdraw
from millrace.cli import run_program
from streams.errors import RunError
from streams.snapshots.failed_manifest import failed_manifest
from streams.snapshots.manifests import FINAL, to_json
from streams.snapshots.store import open_store, write_manifest
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests.service import Service, make_service

BROKER = "memory://failed-runs"
RUN = "unlucky"
WHY = "all 8 batches were refused"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield make_service(BROKER, tmp_path, RUN)
    forget("failed-runs")


def millrace(*arguments: str) -> int:
    """Run the program in this process and return its exit status."""
    return run_program([*arguments, "--broker", BROKER])


def give_up(plan: Plan, snapshot: str, run_id: str = "") -> None:
    failed = failed_manifest(RUN, run_id or plan.id, snapshot, WHY, "2031-01-01T00:00:00+00:00")
    publish(connect(BROKER), f"{RUN}/{snapshot}", to_json(failed))


@pytest.mark.parametrize("side", ["activations", "aggregates"])
def test_workers_that_wait_for_a_failed_run_end_with_its_cause_and_load_nothing(
    service: Service, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(service.plan, FINAL)
    assert millrace(side, "--run", RUN, "--until-done") == 1
    assert f"snapshot final of run {RUN} failed: {WHY}" in capsys.readouterr().err


def test_a_snapshot_that_was_given_up_ends_whoever_waits_for_it(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "consumers.snapshots.snapshots.request_snapshot",
        lambda client, run, name: give_up(service.plan, name),
    )
    assert millrace("snapshot", "--run", RUN, "--name", "noon") == 1
    assert f"snapshot noon of run {RUN} failed: {WHY}" in capsys.readouterr().err


def test_whoever_asks_a_failed_run_for_a_snapshot_is_told_at_once(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(service.plan, FINAL)
    assert millrace("snapshot", "--run", RUN, "--name", "noon") == 1
    assert f"snapshot final of run {RUN} failed: {WHY}" in capsys.readouterr().err


def test_a_run_that_has_failed_is_tried_again_after_a_repair(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """As once its store has been mended, which lost its parts again and again."""
    withdraw(service.client, service.plan, 1, MOST, "gone")
    give_up(service.plan, FINAL)
    assert millrace("repair", "--run", RUN) == 0
    assert "it is tried again" in capsys.readouterr().out
    assert published(service.client, RUN).get(FINAL, {}) == {}
    service.serve(1, 1)
    assert service.is_done()
    assert millrace("repair", "--run", RUN) == 0
    assert "it is tried again" not in capsys.readouterr().out
    assert service.is_done()


def test_a_run_that_cannot_be_repaired_has_failed_as_before(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("its input was deleted")

    give_up(service.plan, FINAL)
    monkeypatch.setattr("consumers.service.repair.repair", refuse)
    assert millrace("repair", "--run", RUN) == 2
    assert "its input was deleted" in capsys.readouterr().err
    assert millrace("runs", "show", RUN) == 1


def test_a_failed_run_is_shown_as_such_and_ends_with_status_1(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(service.plan, "noon")
    assert millrace("runs", "show", RUN) == 0
    assert f"snapshot noon: failed, {WHY}" in capsys.readouterr().out
    give_up(service.plan, FINAL)
    assert millrace("runs", "show", RUN) == 1
    assert f"snapshot final: failed, {WHY}" in capsys.readouterr().out


def test_the_failure_of_another_run_of_the_same_name_is_none_of_this_one(
    service: Service,
) -> None:
    give_up(service.plan, FINAL, run_id="0" * 32)
    service.serve(1, 1)
    assert service.is_done()


@pytest.mark.parametrize("verb", ["verify", "dashboard"])
def test_the_files_of_a_failed_run_are_no_snapshot(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(open_store(str(tmp_path)), failed_manifest(RUN, "1f", FINAL, WHY, ""))
    assert run_program([verb, str(tmp_path / RUN / FINAL)]) == 1
    assert WHY in capsys.readouterr().err


def test_a_final_snapshot_that_lacks_too_much_ends_workers_with_status_1(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.serve(1, 1)
    final = service.manifest()
    assert final is not None
    lacking = replace(final, excess_refusals="3 of 8 batches were refused")
    publish(service.client, f"{RUN}/{FINAL}", to_json(lacking))
    assert millrace("aggregates", "--run", RUN, "--until-done") == 1
    assert "has its final snapshot, but 3 of 8 batches were refused" in capsys.readouterr().err
    lines = list(status_lines(run_status(service.client, service.plan.run)))
    assert "  3 of 8 batches were refused" in lines
