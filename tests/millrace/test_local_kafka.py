"""Finding Java, Maven and the jars, without starting a broker."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from millrace.local_kafka import broker, cache_folder, ends_with_parent, jars, java, maven
from streams.errors import BrokerError

# Stands in for Maven: writes one jar where it is told and counts its calls.
FAKE_MAVEN = """#!/bin/sh
for argument; do
    case $argument in -DoutputDirectory=*) out=${argument#*=} ;; esac
done
test -f pom.xml || exit 3
mkdir -p "$out" && sleep 0.3 && echo jar > "$out/kafka.jar" && echo call >> "$CALLS"
"""
BROKEN_MAVEN = """#!/bin/sh
mkdir -p jars && echo half > jars/half.jar
echo '[INFO] trying'
echo '[ERROR] the repository is away'
exit 1
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that makes the only program on the path."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def install(name, text):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    for name in ("sh", "mkdir", "sleep"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return install


def test_cache_is_where_the_environment_says():
    assert cache_folder({"MILLRACE_CACHE": "/somewhere"}) == Path("/somewhere")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has a folder of its own")
def test_cache_follows_the_platform_otherwise():
    assert cache_folder({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/millrace")
    assert cache_folder({}) == Path.home() / ".cache" / "millrace"


def test_missing_java_is_said(programs):
    with pytest.raises(BrokerError, match="needs Java 17 or newer and `java` is not on the path"):
        java()


def test_missing_maven_is_said(programs):
    with pytest.raises(BrokerError, match="`mvn` is not on the path"):
        maven()


@pytest.mark.parametrize(("shown", "version"), [("11.0.2", "11"), ("1.8.0_292", "1")])
def test_old_java_is_refused_with_its_version(programs, shown, version):
    programs("java", f"#!/bin/sh\necho 'openjdk version \"{shown}\"' >&2\n")
    with pytest.raises(BrokerError, match=f"needs Java 17 or newer, .*java is {version}$"):
        java()


@pytest.mark.parametrize("shown", ["17.0.15", "21", "25-ea"])
def test_new_java_is_taken(programs, shown):
    programs("java", f"#!/bin/sh\necho 'openjdk version \"{shown}\"' >&2\n")
    assert java().endswith("/java")


def test_jars_are_fetched_once(programs, tmp_path):
    programs("mvn", FAKE_MAVEN)
    first = jars(tmp_path / "cache")
    assert [path.name for path in first.iterdir()] == ["kafka.jar"]
    assert jars(tmp_path / "cache") == first
    assert (tmp_path / "calls").read_text() == "call\n"


def test_two_that_fetch_at_once_share_one_download(programs, tmp_path):
    programs("mvn", FAKE_MAVEN)
    threads = [threading.Thread(target=jars, args=(tmp_path / "cache",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "calls").read_text() == "call\n"
    assert (jars(tmp_path / "cache") / "kafka.jar").exists()


def test_failed_download_is_named_and_leaves_nothing(programs, tmp_path):
    programs("mvn", BROKEN_MAVEN)
    with pytest.raises(BrokerError, match=r"Maven cannot fetch Kafka: .*the repository is away"):
        jars(tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "kafka").iterdir()] == [".lock"]


def test_free_ports_lie_below_those_of_outgoing_connections():
    assert all(broker.free_port() in broker.PORTS for _ in range(20))


def test_cluster_ids_are_what_kafka_takes():
    ids = {broker._cluster_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(name) == 22 and name[0] != "-" for name in ids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_child_ends_with_its_parent():
    parent = (
        "import os, subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, {ends_with_parent.__file__!r}, "
        "str(os.getpid()), '/bin/sh', '-c', 'echo up; exec sleep 60'], stdout=subprocess.PIPE);"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        assert running(child)
        process.kill()
    for _ in range(100):
        if not running(child):
            return
        threading.Event().wait(0.05)
    pytest.fail("the child outlived its parent")


def running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
