"""The parts of the comparison with other tools that need none of them."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.peers.comparing import (
    Compared,
    agreement,
    behind,
    cpu,
    goal_rows,
    row,
    seconds,
    stage_rows,
)
from benchmarks.peers.environments import REQUIREMENTS, EnvironmentFailed, environment
from benchmarks.peers.job import Found, Job, Part, read_found, write_found
from benchmarks.peers.meter import Lap, Memory, Others, taken, timed, watched
from benchmarks.peers.peers import GOALS, PEERS, Goal, due
from benchmarks.peers.processes import ProcessFailed, measured
from benchmarks.peers.store import keep, kept_in

FOLDER = Path(__file__).parents[2] / "benchmarks" / "peers"
PARTS = (
    Part("cache: forward", 2.0, 3.0),
    Part("features", 0.5, 0.75, 10),
    Part("logits", 0.25, 0.5, 4, ours=False),
)


def found(*parts: Part, **changes) -> Found:
    values = {"scaled": "all", "memory": 2**20, "versions": {"tool": "1"}}
    return Found(**{"parts": parts or PARTS, **values, **changes})


def compared(before=1.0, after=4.0, **changes) -> Compared:
    ours = tuple(
        found(Part("all", s, s), features=(0, 1), highest=(1.0, 2.0), fired=(5, 6))
        for s in (before, after)
    )
    values = {
        "tool": "delphi",
        "options": "min_examples 20",
        "more": "more",
        "without": "less",
        "shape": "small",
        "samples": 512,
        "found": found(),
        "millrace": ours,
    }
    return Compared(**{**values, **changes})


def test_a_part_counts_as_often_as_all_features_need_it():
    assert seconds(PARTS) == 2 + 5 + 1
    assert cpu(PARTS) == 3 + 7.5 + 2


def test_common_outputs_leave_out_what_millrace_does_not_make():
    assert seconds(PARTS, both=True) == 2 + 5
    assert seconds(PARTS, "cache") == 2


def test_a_ratio_is_against_millrace_before_and_after():
    made = row(compared(before=1.0, after=4.0))
    assert made["times Millrace"].values == (8.0, 2.0)
    assert made["times Millrace, common outputs only"].values == (7.0, 1.75)
    assert made["times Millrace, processor time"] == 12.5 / 2.5
    assert made["memory over start (MiB)"] == 1.0


def test_what_the_system_does_not_tell_is_not_made_up():
    made = row(compared(found=found(memory=None, others=0.254)))
    assert made["memory over start (MiB)"] == "not told"
    assert made["others' load"] == "25%"
    assert made["others' load on Millrace"] == "not told"


def test_stages_add_up_to_the_whole():
    *rows, ours = stage_rows(compared())
    assert sum(stage["seconds"] for stage in rows) == seconds(PARTS)
    assert [stage["both make it"] for stage in rows] == ["yes", "yes", "no"]
    assert ours["tool"] == "Millrace before delphi"
    assert ours["seconds"] == 1.0


def test_agreement_is_the_share_of_features_with_the_same_numbers():
    ours = found(features=(0, 1, 2, 3), highest=(1.0, 2.0, 3.0, 4.0), fired=(10, 20, 30, 40))
    theirs = found(
        features=(3, 1, 0), highest=(4.01, 2.4, 1.0), resolution=0.02, fired=(41, 22, 10)
    )
    assert agreement(theirs, ours) == {"highest": 2 / 3, "fired": 2 / 3}
    assert agreement(found(features=(0,)), ours) == {}


def test_a_goal_that_nothing_was_measured_for_is_not_reached():
    goals = (Goal("delphi", "min_examples 20", "gpt2", 128, 1.0),)
    (made,) = goal_rows([compared()], goals)
    assert (made["measured"], made["reached"]) == ("not measured", "no")


def test_a_goal_is_reached_by_the_median_of_the_stages_it_names():
    goals = [
        Goal("delphi", "min_examples 20", "small", 512, ratio, part)
        for ratio, part in ((5.0, ""), (5.01, ""), (1.25, "cache"), (1.26, "cache"))
    ]
    rows = goal_rows([compared()], goals)
    assert [made["reached"] for made in rows] == ["yes", "no", "yes", "no"]


def test_a_goal_without_options_is_reached_by_the_median_over_all_of_them():
    # 1.25 times with the first options, 5 times with the others.
    other = compared(options="min_examples 200", before=0.25, after=1.0)
    goals = [Goal("delphi", "", "small", 512, ratio, "cache") for ratio in (3.12, 3.13)]
    rows = goal_rows([compared(), other, compared(samples=128, before=9.0)], goals)
    assert [made["reached"] for made in rows] == ["yes", "no"]
    assert {made["goal"] for made in rows} == {"delphi, all options, its cache alone"}


def test_where_millrace_does_not_lead_is_named():
    slow = compared(before=7.1, after=7.2)
    assert behind([compared(before=6.0, after=6.0), slow]) == [slow]


def test_every_goal_belongs_to_something_that_runs():
    kinds = {
        (v.tool, options, *point)
        for peer in PEERS
        for v in peer.variants
        for point in v.points
        for options in (v.options, "")
    }
    assert {(g.tool, g.options, g.shape, g.samples) for g in GOALS} <= kinds
    names = {(v.tool, v.options) for v in due(PEERS[0], "small", 512)}
    assert names == {("saedashboard", "defaults"), ("saedashboard", "top contexts only")}


def test_measurements_come_back_and_newer_ones_take_the_place_of_older(tmp_path):
    path = tmp_path / "measured.json"
    assert kept_in(path) == []
    first, other = compared(), compared(samples=128)
    newer = compared(found=found(memory=7))
    for one in (first, other, newer):
        keep(path, one)
    assert [row(one) for one in kept_in(path)] == [row(other), row(newer)]


def job() -> Job:
    return Job("model", "dictionary", "tokens", "output", {"features": 8}, 2, "defaults")


def script(folder: Path, *lines: str) -> Path:
    """Return a program that stands for a peer's Python; it gets -m, module, job and path."""
    path = folder / "python"
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


def test_a_measurement_is_what_the_process_wrote(tmp_path):
    given = tmp_path / "given.json"
    write_found(found(), given)
    python = script(tmp_path, f'cp {given} "$4"', 'echo "$3" > job.json')
    assert measured(python, "tool", job(), tmp_path, 60.0) == read_found(given)
    assert json.loads((tmp_path / "job.json").read_text())["shape"] == {"features": 8}


def test_a_process_that_fails_is_named_with_its_last_line(tmp_path):
    with pytest.raises(ProcessFailed, match="tool ended with 3: no such layer"):
        measured(script(tmp_path, "echo no such layer", "exit 3"), "tool", job(), tmp_path, 60.0)
    with pytest.raises(ProcessFailed, match="tool ended with 0: no output"):
        measured(script(tmp_path, "exit 0"), "tool", job(), tmp_path, 60.0)


def test_a_process_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    python = script(tmp_path, "sleep 60 &", "echo $! > child", "wait")
    with pytest.raises(ProcessFailed, match="more than 1 s"):
        measured(python, "tool", job(), tmp_path, 1.0)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):  # it is gone as soon as init has taken note
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def test_an_environment_is_made_once_for_its_lock(tmp_path):
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "tool.txt").write_text("# nothing\n")
    python = environment("tool", tmp_path / "envs", locks)
    assert os.access(python, os.X_OK)
    made = python.lstat().st_ctime_ns
    assert environment("tool", tmp_path / "envs", locks) == python
    assert python.lstat().st_ctime_ns == made
    (locks / "tool.txt").write_text("# nothing else\n")
    environment("tool", tmp_path / "envs", locks)
    assert python.lstat().st_ctime_ns != made


def test_what_cannot_be_installed_is_named_and_tried_again(tmp_path):
    (tmp_path / "tool.txt").write_text("tool @ file:///nowhere/tool-1-py3-none-any.whl\n")
    for _ in range(2):
        with pytest.raises(EnvironmentFailed, match="tool cannot be installed"):
            environment("tool", tmp_path / "envs", tmp_path)


def test_every_peer_is_locked_with_its_hashes():
    for peer in PEERS:
        lines = (REQUIREMENTS / f"{peer.name}.txt").read_text().splitlines()
        pins = [number for number, line in enumerate(lines) if re.match(r"[a-z0-9]", line)]
        assert len(pins) > 50
        for number in pins:
            assert "==" in lines[number]
            assert "--hash=sha256:" in lines[number + 1]


def test_what_runs_beside_a_peer_imports_nothing_of_millrace():
    beside = {"job", "meter", "hooked_model"}
    modules = beside | {peer.module.rsplit(".", 1)[1] for peer in PEERS}
    for name in modules:
        tree = ast.parse((FOLDER / f"{name}.py").read_text())
        froms = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        for imported in froms | plain:
            first, *rest = imported.split(".")
            assert first not in {
                "streams",
                "producers",
                "consumers",
                "downstream",
                "millrace",
                "tests",
            }
            assert first != "benchmarks" or (rest[0] == "peers" and rest[1] in beside)


def test_a_watched_function_does_the_same_and_its_time_adds_up():
    lap = Lap()
    slow = watched(lambda value, more=1: time.sleep(0.02) or value + more, lap)
    assert (slow(1), slow(1, more=2)) == (2, 3)
    assert 0.04 <= lap.seconds < 60
    assert lap.cpu < lap.seconds
    with pytest.raises(ValueError, match="no"), timed(lap):
        raise ValueError("no")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_a_busy_neighbour_is_seen():
    others = Others()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        time.sleep(0.5)
        busy.kill()
    share = others.share()
    assert share is not None
    assert share >= 0.1 / (os.cpu_count() or 1)


def test_the_load_of_others_is_what_is_busy_beside_this_process():
    assert taken((10.0, 1.0, 0.0), (14.0, 3.0, 2.0), cores=2) == 0.5
    assert taken((10.0, 1.0, 0.0), (11.9, 3.0, 2.0), cores=2) == 0.0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_memory_is_that_since_the_start():
    size = 64 * 2**20
    before = os.urandom(1) * (3 * size)
    del before
    memory = Memory()
    held = os.urandom(1) * size
    over = memory.over_start()
    assert over is not None
    assert size * 0.9 < over < 1.5 * size
    lower = Memory(start=(memory.start or 0) - size).over_start()
    assert lower is not None
    assert lower > over + size / 2
    assert len(held) == size
