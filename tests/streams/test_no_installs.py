"""Installs: none gets through, whoever asks for it and in whatever way."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from streams.errors import InstallError
from streams.no_installs import installs, no_installs


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (["uv", "pip", "install", "torchvision", "-q"], "torchvision"),
        (["/usr/bin/pip3.11", "install", "--upgrade", "a", "b"], "a b"),
        ([sys.executable, "-m", "pip", "install", "torchvision"], "torchvision"),
        (["python3", "-m", "ensurepip"], "python3 -m ensurepip"),
        (["sh", "-c", "cd /tmp && pip install x"], "x"),
        (["env", "A=1", "sudo", "apt-get", "install", "-y", "gcc"], "gcc"),
        (["conda", "install", "x"], "x"),
        (["C:\\bin\\pip.exe", "install", "x"], "x"),
        (["git", "clone", "https://x/y"], "https://x/y"),
        (["curl", "-O", "https://x/y"], "curl -O https://x/y"),
    ],
)
def test_what_would_be_installed_is_named(command: list[str], wanted: str) -> None:
    assert installs(command) == wanted


@pytest.mark.parametrize(
    "command",
    [
        ["ninja", "--version"],
        ["git", "rev-parse", "HEAD"],
        ["java", "-jar", "pip.jar"],
        [sys.executable, "-c", "print('pip install x')"],
        ["sh", "-c", "echo pip install x"],
        ["nvidia-smi"],
        [],
    ],
)
def test_other_programs_may_run(command: list[str]) -> None:
    assert installs(command) is None


def _popen() -> None:
    subprocess.check_call(["uv", "pip", "install", "torchvision", "-q"])


def _shell() -> None:
    subprocess.run("uv pip install torchvision", shell=True, check=True)


def _system() -> None:
    os.system("uv pip install torchvision")


def _posix_spawn() -> None:
    started = os.posix_spawnp("uv", ["uv", "pip", "install", "torchvision"], dict(os.environ))
    os.waitpid(started, 0)


@pytest.mark.parametrize("attempt", [_popen, _shell, _system, _posix_spawn])
def test_an_attempt_is_refused_even_if_a_library_swallows_it(
    attempt: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    stub = tmp_path / "uv"
    stub.write_text(f"#!/bin/sh\necho called >> {calls}\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert callable(attempt)
    with (
        pytest.raises(InstallError, match=r"loading model m: .* install torchvision"),
        no_installs("loading model m"),
        suppress(Exception),  # as transformer-lens does
    ):
        attempt()
    assert not calls.exists()
    attempt()
    assert calls.exists(), "outside of the block nothing is touched"


def test_pip_inside_of_the_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ensurepip", raising=False)
    with pytest.raises(InstallError, match="pip"), no_installs("loading model m"):
        __import__("ensurepip")


def test_kernels_of_the_hub_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USE_HUB_KERNELS", raising=False)
    with no_installs("loading model m"):
        assert os.environ["USE_HUB_KERNELS"] == "0"


def test_other_errors_go_their_way() -> None:
    with pytest.raises(KeyError, match="other"), no_installs("loading model m"):
        raise KeyError("other")
