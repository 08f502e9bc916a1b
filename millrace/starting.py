"""Making runs for the dashboard's page "Start here": one at a time, in a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from downstream.dashboard.starting import Job, Offered, StartError, WantedRun, place_of
from streams.catalog.corpora import list_corpora
from streams.catalog.runs import list_runs

if TYPE_CHECKING:
    from streams.transport.client import Client

_KEPT = 20
_LONGEST_LINE = 400
_NOTHING = ("neurons", "weights", "decomposed", "own_sources", "clusterings")


class RunStarter:
    """Makes runs as ``millrace runs create`` does.

    It loads the model, which the dashboard's own process does not. settings_file: the dashboard's,
    for how the broker is reached. broker, store: addresses.
    """

    def __init__(
        self, client: "Client", settings_file: Path | None, broker: str, store: str
    ) -> None:
        self._client = client
        self._settings_file = settings_file
        self._broker = broker
        self._store = store
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
        """Begin to make a run; raises StartError if one is just being made, or has the name."""
        with self._lock:
            if any(job.state == "running" for job in self._jobs):
                raise StartError("a run is just being created: wait until it is")
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

    def _make(self, wanted: WantedRun) -> None:
        try:
            done = subprocess.run(
                self.command(wanted),
                env=os.environ | self.variables(wanted),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
            )
            lines = done.stderr.strip().splitlines()
            said = lines[-1][:_LONGEST_LINE] if lines else f"exit status {done.returncode}"
            job = Job(wanted.name, "failed" if done.returncode else "done", said)
        except OSError as error:
            job = Job(wanted.name, "failed", error.strerror or "it could not be started")
        with self._lock:
            self._jobs = [job if one.name == job.name else one for one in self._jobs]

    def command(self, wanted: WantedRun) -> list[str]:
        """Return the command, whose arguments no shell reads."""
        settings = ["--settings", str(self._settings_file)] if self._settings_file else []
        return [
            sys.executable, "-m", "millrace", "runs", "create", *settings,
            "--broker", self._broker, "--store", self._store,
            "--run", wanted.name, "--corpus", wanted.corpus, "--k", str(wanted.k),
            *(f"--ranking={name}" for name in wanted.rankings),
            *(f"--statistic={name}" for name in wanted.statistics),
            "--micro-batch", wanted.micro_batch,
        ]  # fmt: skip

    def variables(self, wanted: WantedRun) -> dict[str, str]:
        """Return the settings that no option has: model and dictionaries, and no other sources."""
        listed = [{"name": name, **place_of(place)} for name, place in wanted.dictionaries]
        return {
            "MILLRACE_MODEL__PATH": wanted.model,
            "MILLRACE_DICTIONARIES": json.dumps(listed),
            **{f"MILLRACE_{name.upper()}": "[]" for name in _NOTHING},
        }
