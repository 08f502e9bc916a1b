"""Nothing is installed, and no program is fetched, whatever a library would like to have.

transformer-lens, for one, runs ``uv pip install torchvision`` when it loads a multimodal model. An
audit hook sees every process that is about to start and every module that is about to be imported,
also those whose errors the library would swallow.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from streams.errors import InstallError

_OF_PYTHON = {
    "pip",
    "pipx",
    "uv",
    "uvx",
    "easy_install",
    "ensurepip",
    "poetry",
    "pdm",
    "rye",
    "hatch",
}
_OF_CONDA = {"conda", "mamba", "micromamba", "pixi"}
_OF_SYSTEMS = {
    "apt",
    "apt-get",
    "aptitude",
    "dpkg",
    "yum",
    "dnf",
    "zypper",
    "pacman",
    "apk",
    "brew",
}
_OF_OTHERS = {"npm", "npx", "yarn", "pnpm", "cargo", "gem"}
_MANAGERS = frozenset(_OF_PYTHON | _OF_CONDA | _OF_SYSTEMS | _OF_OTHERS)
_FETCHERS = frozenset({"curl", "wget", "aria2c"})
_GIT_FETCHES = frozenset({"clone", "fetch", "pull", "submodule"})
_MODULES = (
    "ensurepip",
    "pip._internal.commands.install",
    "pip._internal.commands.download",
    "pip._internal.commands.wheel",
)
# Words before the program that a command line really starts.
_PREFIXES = frozenset({"env", "sudo", "nohup", "nice", "time", "exec", "command"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})
_ENDS = frozenset({";", "&&", "||", "|", "&"})
_VERSION = re.compile(r"[\d.]+$")


@dataclass(slots=True)
class _Watch:
    """A block of code in which nothing is installed, and what was attempted in it."""

    purpose: str
    attempts: list[InstallError] = field(default_factory=list)


# Audit hooks belong to the process and stay, so that what they ask for does, too.
_watches: list[_Watch] = []
_hooked: list[bool] = []


@contextmanager
def no_installs(purpose: str) -> Iterator[None]:
    """Refuse whatever would install packages or fetch programs while the block runs.

    purpose: what is going on, for the message: "loading model X". Raises InstallError at the
    attempt, and at the block's end if a library went on as if nothing had happened.
    """
    # transformers would fetch compiled kernels from the hub; it reads this once, on its import.
    os.environ["USE_HUB_KERNELS"] = "0"
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    watch = _Watch(purpose)
    _watches.append(watch)
    try:
        yield
    except Exception as error:
        if watch.attempts:
            raise watch.attempts[0] from error
        raise
    finally:
        _watches.remove(watch)
    if watch.attempts:
        raise watch.attempts[0]


def installs(command: Sequence[str]) -> str | None:
    """Return what a command would install, or the command itself if it names nothing.

    None for commands that neither install nor fetch anything.
    """
    words = list(command)
    for start in (0, *(n + 1 for n, word in enumerate(words) if word in _ENDS)):
        part = words[start:]
        while part and (_program(part[0]) in _PREFIXES or "=" in part[0]):
            part = part[1:]
        if part and (found := _one_command(part)) is not None:
            return found
    return None


def _one_command(words: Sequence[str]) -> str | None:
    program, rest = _program(words[0]), list(words[1:])
    if program in _SHELLS and "-c" in rest[:-1]:
        return installs(_split(rest[rest.index("-c") + 1]))
    if program.startswith(("python", "pypy")) and "-m" in rest[:-1]:
        at = rest.index("-m") + 1
        program, rest = rest[at], rest[at + 1 :]
    if program == "git":
        return _named(words) if _GIT_FETCHES & set(rest) else None
    return _named(words) if program in _MANAGERS | _FETCHERS else None


def _named(words: Sequence[str]) -> str:
    """Return the packages that a command names, else the command."""
    asked = list(words)
    for verb in ("install", "add", "clone"):
        if verb in asked:
            following = asked[asked.index(verb) + 1 :]
            if names := [word for word in following if not word.startswith("-")]:
                return " ".join(names)
    return " ".join(asked)


def _program(word: str) -> str:
    """Return a program's name without folder, suffix and version: pip of /usr/bin/pip3.11."""
    name = PurePath(word.replace("\\", "/")).name.lower().removesuffix(".exe")
    return _VERSION.sub("", name) or name


def _split(text: str) -> list[str]:
    """Return the words of a shell's command line, its separators as words of their own."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    try:
        return [";" if word.strip(";\n") == "" else word for word in lexer]
    except ValueError:
        return text.split()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches:
        return
    if event == "import":
        wanted = "pip, which installs packages," if arguments[0] in _MODULES else None
    elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        wanted = installs(_words(arguments[1]) or _words(arguments[0]))
    elif event == "os.system":
        wanted = installs(_split(os.fsdecode(arguments[0])))
    else:
        return
    if wanted is not None:
        watch = _watches[-1]
        watch.attempts.append(InstallError(watch.purpose, wanted))
        raise watch.attempts[-1]


def _words(command: Any) -> list[str]:
    if command is None:
        return []
    if isinstance(command, str | bytes | os.PathLike):
        return _split(os.fsdecode(command))
    return [os.fsdecode(word) for word in command]
