"""Making runs for the dashboard's page "Start here", and serving them if that is allowed.

One run at a time, each process on this machine and ended with the dashboard.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from downstream.dashboard.starting import (
    Job,
    Offered,
    StartError,
    WantedRun,
    place_of,
    worker_commands,
)
from streams.catalog.corpora import list_corpora
from streams.catalog.runs import list_runs

if TYPE_CHECKING:
    from streams.transport.client import Client

_KEPT = 20
_LONGEST_LINE = 400
_LOOK_EVERY = 1.0
_PATIENCE = 10.0
_NOTHING = ("neurons", "weights", "decomposed", "own_sources", "clusterings")


class RunStarter:
    """Makes runs as ``millrace runs create`` does.

    It loads the model, which the dashboard's own process does not. settings_file: the dashboard's,
    for how the broker is reached. broker, store: addresses. serving: whether workers are started
    for each run that was made, an aggregator and one that computes activations.
    """

    def __init__(
        self,
        client: "Client",
        settings_file: Path | None,
        broker: str,
        store: str,
        *,
        serving: bool = False,
    ) -> None:
        self._client = client
        self._settings_file = settings_file
        self._broker = broker
        self._store = store
        self._serving = serving
        self._closing = threading.Event()
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._made: threading.Thread | None = None

    @property
    def jobs(self) -> Sequence[Job]:
        """The runs that were made here, the newest first."""
        return tuple(self._jobs)

    def offered(self) -> Offered:
        """Return what the broker holds; raises BrokerError."""
        from consumers.rankings.registry import RANKINGS
        from consumers.statistics.registry import OPTIONAL

        runs = list_runs(self._client)
        sources = [source for run in runs for source in run.sources if source.kind == "dictionary"]
        return Offered(
            corpora=tuple(corpus.name for corpus in list_corpora(self._client)),
            models=tuple(dict.fromkeys(run.model.location for run in runs)),
            dictionaries=tuple(dict.fromkeys((one.name, one.location) for one in sources)),
            rankings=tuple(each.name.partition("@")[0] for each in RANKINGS),
            statistics=OPTIONAL,
        )

    def start(self, wanted: WantedRun) -> None:
        """Begin to make a run.

        Raises StartError while one is being made or served here, or if one has the name.
        """
        with self._lock:
            if any(job.state in ("running", "serving") for job in self._jobs):
                raise StartError("a run is just being made here: wait until it is")
            if wanted.name in {run.name for run in list_runs(self._client)}:
                raise StartError(f"there is a run {wanted.name} already")
            others = [job for job in self._jobs if job.name != wanted.name]
            self._jobs = [Job(wanted.name, "running"), *others][:_KEPT]
        self._made = threading.Thread(target=self._make, args=(wanted,), daemon=True)
        self._made.start()

    def wait(self) -> None:
        """Wait until the run that was begun last is made, or is not."""
        if self._made is not None:
            self._made.join()

    def close(self) -> None:
        """End what is running, and wait for its end."""
        self._closing.set()
        self.wait()

    def _make(self, wanted: WantedRun) -> None:
        job = Job(wanted.name, "done", workers=worker_commands(wanted.name))
        failed, said = self._run([self.command(wanted)], os.environ | self.variables(wanted))
        if failed:
            self._note(replace(job, state="failed", said=said, workers=()))
        elif not self._serving:
            self._note(replace(job, said=said))
        else:
            self._note(replace(job, state="serving"))
            failed, said = self._run(self.workers(wanted), dict(os.environ))
            self._note(replace(job, state="failed" if failed else "finished", said=said))

    def _run(self, commands: Sequence[list[str]], variables: dict[str, str]) -> tuple[bool, str]:
        """Run commands beside each other until all have ended or one has failed.

        Returns whether one failed, and the last line that one has written.
        """
        with ExitStack() as stack:
            running = []
            try:
                for command in commands:
                    said = stack.enter_context(TemporaryFile())
                    nothing = subprocess.DEVNULL
                    process = subprocess.Popen(
                        command, env=variables, stdin=nothing, stdout=nothing, stderr=said
                    )
                    stack.callback(_end, process)
                    running.append((process, said))
            except OSError as error:
                return True, error.strerror or "it could not be started"
            while not self._closing.is_set():
                for process, said in running:
                    if process.poll():
                        return True, _last_line(said) or f"exit status {process.returncode}"
                waiting = [process for process, _ in running if process.poll() is None]
                if not waiting:
                    return False, _last_line(running[0][1])
                with suppress(subprocess.TimeoutExpired):
                    waiting[0].wait(_LOOK_EVERY)
            return True, "the dashboard was ended"

    def _note(self, job: Job) -> None:
        with self._lock:
            self._jobs = [job if one.name == job.name else one for one in self._jobs]

    def workers(self, wanted: WantedRun) -> list[list[str]]:
        """Return the commands of an aggregator and of what computes, on this machine."""
        return [
            [sys.executable, "-m", "millrace", side, *self._settings(), "--broker", self._broker,
             "--run", wanted.name, "--until-done"]
            for side in ("aggregates", "activations")
        ]  # fmt: skip

    def command(self, wanted: WantedRun) -> list[str]:
        """Return the command, whose arguments no shell reads."""
        return [
            sys.executable, "-m", "millrace", "runs", "create", *self._settings(),
            "--broker", self._broker, "--store", self._store,
            "--run", wanted.name, "--corpus", wanted.corpus, "--k", str(wanted.k),
            *(f"--ranking={name}" for name in wanted.rankings),
            *(f"--statistic={name}" for name in wanted.statistics),
            "--micro-batch", wanted.micro_batch,
        ]  # fmt: skip

    def _settings(self) -> list[str]:
        return ["--settings", str(self._settings_file)] if self._settings_file else []

    def variables(self, wanted: WantedRun) -> dict[str, str]:
        """Return the settings that no option has: model and dictionaries, and no other sources."""
        listed = [{"name": name, **place_of(place)} for name, place in wanted.dictionaries]
        return {
            "MILLRACE_MODEL__PATH": wanted.model,
            "MILLRACE_DICTIONARIES": json.dumps(listed),
            **{f"MILLRACE_{name.upper()}": "[]" for name in _NOTHING},
        }


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and make it end if it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(said: IO[bytes]) -> str:
    """Return the last line of what a process has written."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 4 * _LONGEST_LINE))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:_LONGEST_LINE] if lines else ""
