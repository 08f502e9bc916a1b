"""The jars of Apache Kafka, fetched by Maven once and kept in a cache folder."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from streams.errors import BrokerError

JAVA_AT_LEAST = 17
FETCH_SECONDS = 600
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where downloads are kept: MILLRACE_CACHE, else the platform's cache folder."""
    if chosen := environ.get("MILLRACE_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "millrace"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "millrace"


def java() -> str:
    """Return the path of a Java that can run Kafka 4; raise BrokerError if there is none."""
    found = shutil.which("java")
    if found is None:
        raise BrokerError(
            f"a local Kafka needs Java {JAVA_AT_LEAST} or newer and `java` is not on the path; "
            "install it, or use Docker or an address of a running broker"
        )
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        shown = version[1] if version else "an unknown version"
        raise BrokerError(f"a local Kafka needs Java {JAVA_AT_LEAST} or newer, {found} is {shown}")
    return found


def maven() -> str:
    """Return the path of Maven; raise BrokerError if there is none."""
    found = shutil.which("mvn")
    if found is None:
        raise BrokerError(
            "a local Kafka is fetched by Maven and `mvn` is not on the path; "
            "install it, or use Docker or an address of a running broker"
        )
    return found


def jars(cache: Path) -> Path:
    """Return the folder of Kafka's jars, fetching them if this version is not in the cache."""
    pom = resources.files(__package__).joinpath("pom.xml").read_bytes()
    home = cache / "kafka" / hashlib.sha256(pom).hexdigest()[:16]
    if home.is_dir():
        return home
    program = maven()
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone(home.with_suffix(".lock")):
        if not home.is_dir():
            _fetch(program, pom, home)
    return home


def _fetch(program: str, pom: bytes, home: Path) -> None:
    """Fetch into a folder beside ``home`` and rename it, so that ``home`` is always complete."""
    with tempfile.TemporaryDirectory(prefix=f"{home.name}.", dir=home.parent) as folder:
        (Path(folder) / "pom.xml").write_bytes(pom)
        command = [program, "-q", "-B", COPY, "-DoutputDirectory=jars", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Maven did not fetch Kafka within {FETCH_SECONDS} s") from error
        if done.returncode:
            raise BrokerError(f"Maven cannot fetch Kafka: {_first_error(done.stdout)}")
        os.rename(Path(folder) / "jars", home)


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["it said nothing"])[0]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock file: Maven's own repository does not take two writers either."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
