"""A single-node Apache Kafka as a child process, for one machine and for tests."""

import atexit
import base64
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from types import MappingProxyType, TracebackType
from typing import Self

from millrace.local_kafka import ends_with_parent
from millrace.local_kafka.jars import jars, java
from streams.errors import BrokerError
from streams.transport.connect import connect

HOST = "127.0.0.1"
# Long, for a machine that is busy with other things; a broker that ends is noticed at once.
START_SECONDS = 300.0
STOP_SECONDS = 30.0
# Below what systems hand to outgoing connections: a client that retries against a broker that is
# down must not get the broker's own port as its source, and keep it.
PORTS = range(15_000, 32_000)


class NativeKafka:
    """Apache Kafka on this machine; as a context manager it starts, and stops at the end.

    ``kill`` and ``start`` again serve the same records at the same address. Without ``data`` the
    records live in a temporary folder. Start it from a thread that outlives it: on Linux the
    broker ends with the thread that started it. settings: further lines of server.properties, which
    override ours and may hold ``$port``. formatted: further arguments when its folder is formatted.
    """

    def __init__(
        self,
        cache: Path,
        data: Path | None = None,
        port: int | None = None,
        heap_megabytes: int = 384,
        settings: Mapping[str, str] = MappingProxyType({}),
        formatted: Sequence[str] = (),
    ) -> None:
        self._cache = cache
        self._data = self._home = data and data.resolve()  # the JVM runs in a folder of its own
        self._port = port
        self._heap = heap_megabytes
        self._settings = settings
        self._formatted = formatted
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's address, once it has been started."""
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """The broker's host and port, once it has been started."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running broker."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the broker and wait until it answers; raise BrokerError if it does not."""
        if self.pid is not None:
            return
        program, libraries = java(), jars(self._cache)
        home = self._prepared()
        if not (home / "logs" / "meta.properties").exists():
            _format(program, libraries, home, self._formatted)
        atexit.register(self._end)
        with (home / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                _ending_with_us(_command(program, libraries, home, self._heap)),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_answer()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the broker as a power cut would: no goodbye, the data stays."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Let the broker finish in good order, and remove its data if they were temporary."""
        self._signal(signal.SIGTERM)
        self._end()

    def check(self) -> None:
        """Raise BrokerError if the broker is no longer running."""
        if self.pid is None:
            raise BrokerError(f"the local Kafka has ended: {self._last_words()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _prepared(self) -> Path:
        """Return the data folder with its settings written, choosing ports the first time."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="millrace-kafka-"))
        self._home.mkdir(parents=True, exist_ok=True)
        self._port = self._port or free_port()
        if not _is_free(self._port):
            raise BrokerError(f"port {self._port} is taken; choose another one")
        # The controller's address is part of the stored state.
        controller = self._home / "controller-port"
        if not controller.exists():
            controller.write_text(str(free_port()))
        _write_settings(self._home, self._port, int(controller.read_text()), self._settings)
        return self._home

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while _is_free(self._port or 0):
            self.check()
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"the local Kafka does not answer for {START_SECONDS:g} s: {self._last_words()}"
                )
            time.sleep(0.05)
        client = connect(self.url)
        try:
            client.topics()
        finally:
            client.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end(self) -> None:
        """Leave nothing behind; also called when the interpreter ends."""
        self.kill()
        atexit.unregister(self._end)
        if self._data is None and self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _last_words(self) -> str:
        log = self._home / "broker.log" if self._home else None
        lines = log.read_text(errors="replace").split("\n") if log and log.exists() else []
        telling = [line for line in lines if "Exception: " in line]
        telling += [line for line in lines if " ERROR " in line or " FATAL " in line]
        return (telling[:1] or [line for line in lines if line][-1:] or ["its log is empty"])[0][
            :300
        ]


def _write_settings(
    home: Path, port: int, controller_port: int, further: Mapping[str, str]
) -> None:
    packaged = resources.files(__package__)
    lines = [packaged.joinpath("server.properties").read_text()]
    lines += [f"{name}={value}" for name, value in further.items()]
    template = Template("\n".join(lines))
    settings = template.substitute(
        port=port, controller_port=controller_port, logs=(home / "logs").resolve()
    )
    (home / "server.properties").write_text(settings)
    (home / "log4j2.properties").write_text(packaged.joinpath("log4j2.properties").read_text())


def _format(program: str, libraries: Path, home: Path, further: Sequence[str]) -> None:
    """Prepare the folder of a new cluster. A format cut short leaves no ``meta.properties``."""
    shutil.rmtree(home / "logs", ignore_errors=True)
    done = subprocess.run(
        [
            *_machine(program, libraries, home, 128),
            *("kafka.tools.StorageTool", "format", "-t", _cluster_id()),
            *("--standalone", "-c", str(home / "server.properties")),
            *further,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BrokerError(f"Kafka cannot format {home}: {done.stdout.strip().splitlines()[-1:]}")


def _cluster_id() -> str:
    """Return 16 random bytes as 22 characters; a leading hyphen would read as an option."""
    return "M" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22]


def _machine(program: str, libraries: Path, home: Path, heap_megabytes: int) -> list[str]:
    return [
        program,
        f"-Xmx{heap_megabytes}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile=file:{home / 'log4j2.properties'}",
        "-cp",
        f"{libraries}/*",
    ]


def _command(program: str, libraries: Path, home: Path, heap_megabytes: int) -> list[str]:
    machine = _machine(program, libraries, home, heap_megabytes)
    return [*machine, "kafka.Kafka", str(home / "server.properties")]


def _ending_with_us(command: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", ends_with_parent.__file__, str(os.getpid()), *command]


def free_port() -> int:
    """Return a port of this machine that nobody has, and that no system hands out by itself."""
    chance = random.SystemRandom()
    while not _is_free(port := chance.choice(PORTS)):
        pass
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
