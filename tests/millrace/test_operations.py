"""The verbs of those who keep runs alive: what they print and how they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.snapshots.snapshots import published
from millrace.cli import run_program
from millrace.settings import load_settings
from streams import topics
from streams.deadletters import Origin, Refusal, headers
from streams.errors import SettingsError
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests.integration.test_repair import activations_done
from tests.service import make_service

BROKER = "memory://operations"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    forget("operations")


def millrace(*arguments: str) -> int:
    """Run the program in this process and return its exit status."""
    return run_program([*arguments, "--broker", BROKER])


def put_dead_letters() -> None:
    client = connect(BROKER)
    client.create_topics([topics.DEAD_LETTERS])
    with client.sender() as sender:
        for offset, run in ((7, "a"), (7, "a"), (8, "b")):
            refusal = Refusal(
                Origin("tokens.text", 0, offset), "ShapeError", "odd", "activations", "x", run
            )
            sender.send(topics.DEAD_LETTERS.name, 0, b"\x01\x02ab", headers=headers(refusal))


def test_dead_letters_are_listed_shown_and_exported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    put_dead_letters()
    assert millrace("dlq", "list") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 refused positions, 3 dead letters"
    assert millrace("dlq", "list", "--run", "b") == 0
    assert capsys.readouterr().out.splitlines() == [
        "2  tokens.text, partition 0, offset 8  x  ShapeError: odd",
        "1 refused positions, 1 dead letters",
    ]
    assert millrace("dlq", "show", "2") == 0
    assert "01 02 61 62" in capsys.readouterr().out
    assert millrace("dlq", "show", "3") == 2
    assert "no dead letter 3" in capsys.readouterr().err
    assert millrace("dlq", "export", str(tmp_path / "out")) == 0
    assert "2 dead letters written" in capsys.readouterr().out
    assert (tmp_path / "out" / "index.json").exists()


def test_repair_says_that_nothing_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    service = make_service(BROKER, tmp_path, "test")
    service.serve(1, 1)
    assert millrace("repair", "--run", "test") == 0
    assert capsys.readouterr().out == (
        "run test: nothing is missing that the activation side has passed\n"
    )


@pytest.mark.parametrize("name", ["a file", "a full disk"])
def test_an_aggregate_worker_whose_store_cannot_be_written_ends_with_status_2(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "occupied").write_text("no folder")
    store = tmp_path / "occupied" / "store" if name == "a file" else tmp_path / "store"
    service = make_service(BROKER, store, "test")
    service.serve(1, 0, until=lambda: activations_done(service))
    if name == "a full disk":
        monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", full)
    assert millrace("aggregates", "--run", "test", "--until-done") == 2
    said = capsys.readouterr().err
    assert "millrace: error: cannot write" in said
    assert ("Not a directory" if name == "a file" else "No space left on device") in said


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_limits_come_from_the_file_the_environment_and_options(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[limits]\nstall = 5\ndead_letter_run = 7\n")
    environment = {"MILLRACE_LIMITS__DEAD_LETTER_RUN": "9", "MILLRACE_METRICS_PORT": "9100"}
    limits = load_settings(file, environment, {"limits": {"incomplete": 3.0}}).worker_limits()
    assert (limits.stall, limits.dead_letter_run, limits.incomplete) == (5.0, 9, 3.0)
    assert limits.dead_letter_ratio == 0.05


def test_an_impossible_limit_is_named() -> None:
    with pytest.raises(SettingsError, match=r"limits\.dead_letter_ratio = 2"):
        load_settings(None, {}, {"limits": {"dead_letter_ratio": 2}})


@pytest.mark.parametrize("verb", ["activations", "aggregates"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--session", "3"), "limits.session = 3.0: input should be greater than or equal to 6"),
        (("--session", "nan"), "limits.session = nan: input should be a finite number"),
        (("--session", "120", "--stall", "100"), "session = 120 and stall = 100: workers would"),
        (("--stall", "inf"), "limits.stall = inf: input should be a finite number"),
        (("--wait", "nan"), "'nan' is no number of seconds"),
    ],
)
def test_times_that_do_not_fit_together_are_one_line(
    verb: str, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert millrace(verb, "--run", "test", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("millrace: error: ")
    assert said in line


def test_a_session_longer_than_a_request_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = make_service(BROKER, tmp_path, "test")
    service.serve(1, 0, until=lambda: activations_done(service))
    assert millrace("aggregates", "--run", "test", "--until-done", "--session", "120") == 0
    assert service.manifest() is not None


def test_metrics_port_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    service = make_service(BROKER, tmp_path, "test")
    service.serve(1, 1)
    from consumers.health import metrics

    served: list[metrics.Address] = []
    original = metrics.served

    def noted(progress: object, address: metrics.Address) -> object:
        served.append(address)
        return original(progress, metrics.Address(address.host, 0))  # type: ignore[arg-type]

    monkeypatch.setattr(metrics, "served", noted)
    monkeypatch.setenv("MILLRACE_METRICS_PORT", "9100")
    assert millrace("aggregates", "--run", "test", "--until-done") == 0
    assert served == [metrics.Address("127.0.0.1", 9100)]


def test_a_snapshot_needs_a_name_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = make_service(BROKER, tmp_path, "named")
    asked = ("snapshot", "--run", "named", "--timeout", "0")
    assert millrace(*asked, "--name", "final") == 2
    assert "final is what a run's last snapshot is called" in capsys.readouterr().err
    assert millrace(*asked, "--name", "noon") == 2
    assert "is not there after 0 s" in capsys.readouterr().err
    service.serve(1, 1)
    assert {"final", "noon"} <= set(published(service.client, "named"))
    assert millrace(*asked, "--name", "noon") == 2
    assert "run named has a snapshot noon; take another --name" in capsys.readouterr().err
