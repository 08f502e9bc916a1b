"""Whatever a person gets wrong: one line, status 2, and nothing left behind."""

import errno
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams import topics
from streams.transport.connect import connect
from tests.millrace.conftest import Program
from tests.models_on_disk import save_tokenizer

Run = Callable[..., list[Any]]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(" ".join(f"w{number % 60}" for number in range(300)))
    return file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def run(disk: Path, text: Path, store: Path, broker: str) -> Run:
    """The arguments of a run that goes well, changed by keywords; None leaves an option out."""

    def arguments(*places: Any, **changes: Any) -> list[Any]:
        options = {
            "model": disk / "gpt2",
            "dictionary": disk / "standard",
            "corpus": "words",
            "device": "cpu",
            "store": store,
            "broker": broker,
        } | changes
        said = [
            part
            for name, value in options.items()
            if value is not None
            for part in (f"--{name.replace('_', '-')}", value)
        ]
        return ["run", *(places or (text,)), *said]

    return arguments


@pytest.fixture
def refused(program: Program, run: Run, broker: str, store: Path) -> Callable[..., str]:
    """Run with changes and return the line; nothing may be on the broker or in the store."""

    def refuse(*places: Any, **changes: Any) -> str:
        said = program(*run(*places, **changes)).refusal()
        assert connect(broker).topics() == {}
        assert not store.exists()
        assert not any(Path().iterdir())
        return said

    return refuse


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_missing_model(refused, disk, tmp_path):
    assert "no model folder /nowhere/model" in refused(model="/nowhere/model")
    empty = tmp_path / "empty"
    empty.mkdir()
    save_tokenizer(empty)
    assert "has no config.json" in refused(model=empty)


def test_missing_model_of_the_hub_says_so_at_once(refused, disk, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    named = "nobody/nothing-here"
    assert f"{named} is neither a model folder nor" in refused(model=named, tokenizer=disk / "gpt2")
    assert f"cannot load {named}" in refused(model=named)
    said = refused(dictionary="gpt2-small-res-jb#blocks.1.hook_resid_pre")
    assert "the Hugging Face hub cannot be reached" in said
    assert "cannot read the dataset" in refused(f"hf:{named}")


def test_wrong_hook(refused, disk):
    said = refused(dictionary=disk / "elsewhere")
    assert "has no hook 'blocks.9.hook_resid_post'; close to it: blocks." in said


def test_dictionary_that_does_not_fit_or_is_not_there(refused, disk):
    assert "'sae' reads 33 values" in refused(dictionary=disk / "wide")
    assert "/nowhere/sae is no SAELens folder" in refused(dictionary="/nowhere/sae")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ["other:1"]}', "cluster 'a': component 'other:1' names an unknown source"),
        ('{"a": ["sae:48"]}', "component 'sae:48' does not exist: sae has 48"),
        ('{"a": ["sae:1", "sae:1"]}', "component 'sae:1' is repeated"),
        ('{"a": ["sae:1"], "a": ["sae:2"]}', "'a' stands there twice"),
        ('{"a": ["one"]}', "component 'one' does not read source:index"),
        ('{"a": ', "is not JSON"),
        ("{}", "has no clusters"),
        (b"\xff{}", "is not UTF-8"),
    ],
)
def test_cluster_file(refused, tmp_path, content, message):
    file = write(tmp_path / "clusters.json", content)
    said = refused(clusters=file)
    assert str(file) in said
    assert message in said


def test_missing_cluster_file(refused):
    assert "cluster file /nowhere/c.json: No such file" in refused(clusters="/nowhere/c.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[run]\nkk = 1", "unknown key 'run.kk', did you mean 'k'?"),
        ("[run]\nk = 'x'", "run.k = 'x': input should be a valid integer"),
        ("[run]\nshards = 0", "run.shards = 0"),
        ("[run\n", "is no TOML"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_settings_file(refused, tmp_path, content, message):
    said = refused(settings=write(tmp_path / "wrong.toml", content))
    assert "wrong.toml" in said
    assert message in said


def test_missing_settings_file(refused, tmp_path):
    assert "/nowhere.toml: No such file" in refused(settings="/nowhere.toml")
    assert f"{tmp_path}: Is a directory" in refused(settings=tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MILLRACE_RUN__KK", "1", "unknown key 'run.kk', did you mean 'k'?"),
        ("MILLRACE_RUM__K", "1", "unknown variable MILLRACE_RUM__K, did you mean 'run'?"),
        ("MILLRACE_RUN__K", "many", "the environment: run.k = 'many'"),
        ("MILLRACE_CORPUS", "name", "environment: error parsing value"),
    ],
)
def test_variables(refused, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    assert message in refused()


def test_no_text(refused, tmp_path, program, disk, broker):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "would be empty" in refused(write(tmp_path / "empty.txt", ""))
    assert "would be empty" in refused(empty)
    assert "no file or folder /nowhere" in refused("/nowhere")
    said = program("produce", "--tokenizer", disk / "gpt2", "--broker", broker).refusal()
    assert "no text is named" in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", b"w1 \xe9", "latin.txt line 1: it is not UTF-8 (byte 0xe9)"),
        ("broken.parquet", b"PAR1 junk", "it is no readable Parquet"),
        ("broken.jsonl", '{"text": "w1"}\n{"text"', "broken.jsonl line 2: it is no valid JSON"),
        ("broken.json", '{"text"', "broken.json line 1: it is no valid JSON"),
        ("fields.jsonl", '{"body": "w1"}', "it has no field 'text' (it has: body)"),
    ],
)
def test_unreadable_text(refused, tmp_path, name, content, message):
    said = refused(write(tmp_path / name, content))
    assert message in said
    assert "--skip-bad" in said


def test_closed_standard_input(refused, monkeypatch):
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    for stdin in (closed, None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "there is no standard input" in refused("-")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "run.k = 0"),
        ({"k": "x"}, "'x' is not a valid integer"),
        ({"micro_batch": 0}, "model.micro_batch = 0"),
        ({"batch_size": 0}, "corpus.batch_rows = 0"),
        ({"partitions": 0}, "corpus.partitions = 0"),
        ({"limit": "5x"}, "write 200documents or 1000000tokens"),
        ({"limit": "0"}, "corpus.limit_documents = 0"),
        ({"workers": 0}, "0 is not in the range x>=1"),
        ({"context": 17}, "has rows of 17 tokens, model"),
        ({"context": 1}, "corpus.context = 1"),
        ({"device": "cuda:9"}, "this machine has no device cuda:9"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"format": "xml"}, "format 'xml' is none of parquet"),
        ({"run": "Bad Name"}, "run 'Bad Name' is not a usable name"),
        ({"corpus": "Bad Name"}, "corpus 'Bad Name' is not a usable name"),
        ({"store": "nope://x"}, "store 'nope://x' cannot be opened"),
        ({"kk": "3"}, "No such option: --kk"),
    ],
    ids=str,
)
def test_options(refused, changes, message):
    assert message in refused(**changes)


def test_tokenizer_that_does_not_fit_the_model(refused, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(90)} | {"<unknown>": 90}
    made = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unknown>").save_pretrained(folder)
    assert "has token ids up to 90" in refused(tokenizer=folder)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("kafka://127.0.0.1:1", "no Kafka broker answers at 127.0.0.1:1"),
        ("kafka://127.0.0.1", "'127.0.0.1' is not host:port"),
        ("localhost:9092", "is no address: take kafka://host:port or memory://name"),
        ("kafka://", "is no address"),
    ],
)
def test_broker(refused, address, message):
    assert message in refused(broker=address)


def test_store_that_is_a_file(program, run, broker, tmp_path):
    file = write(tmp_path / "file", "kept")
    assert f"cannot write {file}/" in program(*run(store=file)).refusal()
    assert connect(broker).topics() == {}
    assert file.read_text() == "kept"


def test_store_that_cannot_be_written(refused):
    assert "cannot write /proc/nowhere/" in refused(store="/proc/nowhere")


class Full(io.BytesIO):
    """A file on a full disk, once it has taken so many bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def fill_disk(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Leave no room for files whose names hold ``suffix``."""
    from fsspec.implementations.local import LocalFileSystem

    usual = LocalFileSystem.open

    def open_full(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        full = "w" in mode and suffix in path
        return Full(10) if full else usual(self, path, mode, **options)

    monkeypatch.setattr(LocalFileSystem, "open", open_full)


def test_full_disk_is_seen_before_any_work(refused, monkeypatch):
    fill_disk(monkeypatch, "")
    assert "No space left on device; make room there" in refused()


@pytest.mark.parametrize("what", ["hits-", "manifest.json"])
def test_disk_that_fills_up_leaves_no_snapshot(program, run, store, monkeypatch, what):
    with monkeypatch.context() as full:
        fill_disk(full, what)
        assert "No space left on device" in program(*run()).refusal()
        assert not list(store.rglob("manifest.json"))
        assert not list(store.rglob("*.tmp"))
    assert program(*run()).status == 0, "the same command goes on once there is room"


def test_names_that_are_taken(program, run, broker, tmp_path):
    assert program(*run()).status == 0
    before = dict(connect(broker).topics())
    assert "a run 'run' with other settings exists" in program(*run(k=3)).refusal()
    other = write(tmp_path / "other.txt", "w1 w2 w3")
    assert "corpus words exists with other text" in program(*run(other)).refusal()
    assert "exists with other settings (context" in program(*run(context=8)).refusal()
    assert connect(broker).topics() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "show", "missing"],
        ["runs", "delete", "missing"],
        ["activations", "--run", "missing"],
        ["aggregates", "--run", "missing"],
        ["snapshot", "--run", "missing"],
        ["oracle", "--run", "missing"],
    ],
    ids=" ".join,
)
def test_unknown_run(program, broker, arguments):
    said = program(*arguments, "--broker", broker).refusal()
    assert "there is no run 'missing' (known: none)" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["corpora", "show", "missing"],
        ["corpora", "delete", "missing"],
        ["corpora", "dump", "missing", "out.dump"],
        ["corpora", "rebatch", "missing", "new"],
        ["runs", "create", "--corpus", "missing"],
    ],
    ids=" ".join,
)
def test_unknown_corpus(program, broker, arguments):
    said = program(*arguments, "--broker", broker).refusal()
    assert "there is no corpus 'missing' (known: none)" in said
    assert not any(Path().iterdir())


@pytest.mark.parametrize("verb", [["corpora", "load"], ["verify"], ["dashboard"]], ids=str)
def test_file_of_another_kind(program, tmp_path, verb):
    assert program(*verb, write(tmp_path / "file", "junk")).refusal()
    assert "/nowhere" in program(*verb, "/nowhere/file").refusal()


def test_dashboard_without_anything_to_show(program):
    assert "name the MANIFEST" in program("dashboard").refusal()


def test_taken_port(program, run, broker, store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = program(*run(port=port), "--serve").refusal()
        assert f"cannot listen on 127.0.0.1:{port}" in said
        assert connect(broker).topics() == {}
        assert program(*run()).status == 0
        manifest = store / "run" / "final" / "manifest.json"
        assert f":{port}: " in program("dashboard", manifest, "--port", port).refusal()


def test_unknown_verb(program):
    assert "No such command 'rnu'" in program("rnu").refusal()


def test_what_nobody_foresaw_is_one_line_too(program, run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("odd\nthing")

    monkeypatch.setattr("millrace.in_process.run_in_process", fail)
    ended = program(*run())
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert "unforeseen ValueError: odd thing; millrace -v" in ended.lines[0]
    ended = program("-v", *run())
    assert "Traceback" in " ".join(ended.lines)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_interruption_is_one_line(program, run, monkeypatch, broker):
    from consumers.service import serving

    def interrupt(watch: Any) -> None:
        # On a busy machine the first one may meet a start, which takes it for its own end.
        ended = watch._ended.wait(0.3)
        while not ended:
            os.kill(os.getpid(), signal.SIGINT)
            ended = watch._ended.wait(20)

    monkeypatch.setattr(serving.RunWatch, "_watch", interrupt)
    # Who starts the tests in the background of a shell has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended = program(*run())
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ended.status, ended.lines) == (130, ["millrace: interrupted"])
    assert topics.RUNS.name in connect(broker).topics()


def test_a_process_ends_with_the_status() -> None:
    command = [sys.executable, "-m", "millrace", "runs", "show", "x", "--broker", "memory://x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("millrace: error: there is no run 'x'")
    assert done.stderr.count("\n") == 1
