"""Labels at the command line: attached, shown, refused in one line."""

import json

import millrace
from tests.downstream.dashboard.snapshot_files import small, write_snapshot
from tests.downstream.labelling.chat_server import Played, completion, serving


def test_local_labels_are_attached(program, tmp_path):
    write_snapshot(str(tmp_path), small())
    ended = program("label", str(tmp_path), "--local")
    assert (ended.status, ended.lines) == (0, [])
    said = ended.out.splitlines()
    assert said[0] == "labels/local: 8 labels"
    assert len(said) == 3
    table = millrace.open(str(tmp_path)).attachment("labels", "local")["labels"]
    assert table.to_pylist()[0]["label"].startswith("the")


def test_a_snapshot_that_is_not_final_is_refused(program, tmp_path):
    write_snapshot(str(tmp_path), small(), snapshot="so-far", final=False)
    ended = program("label", str(tmp_path / "demo" / "so-far"), "--local")
    assert ended.status == 2
    assert "is not final" in ended.lines[0]


def played(number, body):
    return completion(json.dumps({"label": f"<i>answer {number}</i>"}))


def test_a_model_labels_and_what_it_said_is_kept(program, tmp_path, monkeypatch):
    write_snapshot(str(tmp_path), small())
    monkeypatch.setenv("MILLRACE_ENDPOINT_KEY", "sk-secret-12345")
    prices = ("--price-prompt", 1, "--price-completion", 2)
    with serving(played) as server:
        said = (
            "label",
            tmp_path,
            "--endpoint",
            server.url,
            "--model",
            "org/Some.Model 7b",
            *prices,
        )
        ended = program(*said, "--sample", 2)
        assert (ended.status, server.headers[0]["Authorization"]) == (0, "Bearer sk-secret-12345")
        assert ended.out.splitlines() == [
            "labels/some-model-7b: 2 labels",
            "  asked 2, known 0, failed 0; 36 tokens, 0.0001 by the prices given",
        ]
        again = program(*said)
        assert again.status == 0
        assert "known 2" in again.out
        assert "sk-secret" not in "".join([*ended.lines, *again.lines, ended.out, again.out])
    opened = millrace.open(str(tmp_path))
    tables = opened.attachment("labels", "some-model-7b")
    labels = tables["labels"].to_pylist()
    assert len(labels) == len(server.requests)
    assert {row["author"] for row in labels} == {"org/Some.Model 7b, asked by millrace, prompt 1"}
    for row in tables["label_requests"].to_pylist():
        assert json.loads(row["prompt"]) in [body["messages"] for body in server.requests]
        assert (row["prompt_tokens"], row["completion_tokens"], row["counted"]) == (11, 7, True)
        assert row["cost"] == 25e-6
    assert b"sk-secret" not in b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


def test_what_was_paid_for_is_attached_when_the_service_ends_it(program, tmp_path):
    write_snapshot(str(tmp_path), small())

    def play(number, body):
        return played(number, body) if number < 2 else Played(401, b"no more")

    with serving(play) as server:
        ended = program("label", tmp_path, "--endpoint", server.url, "--model", "m", "--at-once", 1)
    assert ended.status == 2
    assert "the endpoint says 401: no more" in ended.lines[-1]
    table = millrace.open(str(tmp_path)).attachment("labels", "m")["labels"]
    assert len(table) == 2


def test_wrong_usage_is_refused_in_one_line(program, tmp_path):
    write_snapshot(str(tmp_path), small())
    url = ("--endpoint", "http://127.0.0.1:9", "--model", "m")
    assert "say either" in program("label", tmp_path).refusal()
    assert "say either" in program("label", tmp_path, "--local", *url).refusal()
    assert "needs --model" in program("label", tmp_path, *url[:2]).refusal()
    assert "--budget needs" in program("label", tmp_path, *url, "--budget", 1).refusal()
    assert "--name local" in program("label", tmp_path, *url, "--name", "local").refusal()
    assert "no clustering" in program("label", tmp_path, *url, "--clustering", "x").refusal()
