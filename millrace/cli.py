"""The program ``millrace``: verbs are loaded when they are used, so that help comes at once."""

import importlib
import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Literal

import click

from millrace.did_you_mean import SuggestingGroup
from streams.credentials import without_credentials
from streams.errors import StreamError, UserError
from streams.no_installs import no_installs

log = logging.getLogger(__name__)

_SECONDS_TO_EXIT = 10.0

_VERBS = {
    "demo": "millrace.verbs.demo:demo",
    "run": "millrace.verbs.run:run",
    "produce": "millrace.verbs.produce:produce",
    "activations": "millrace.verbs.workers:activations",
    "aggregates": "millrace.verbs.workers:aggregates",
    "snapshot": "millrace.verbs.snapshot:snapshot",
    "verify": "millrace.verbs.snapshot:verify",
    "derive": "millrace.verbs.derive:derive",
    "label": "millrace.verbs.label:label",
    "score": "millrace.verbs.score:score",
    "embed": "millrace.verbs.embed:embed",
    "cluster": "millrace.verbs.cluster:cluster",
    "diff": "millrace.verbs.diff:diff",
    "compare-dictionaries": "millrace.verbs.compare_dictionaries:compare_dictionaries",
    "compare-models": "millrace.verbs.compare_models:compare_models",
    "dashboard": "millrace.verbs.dashboard:dashboard",
    "ask": "millrace.verbs.ask:ask",
    "concept": "millrace.verbs.concept:concept",
    "steer": "millrace.verbs.interventions:steer",
    "ablate": "millrace.verbs.interventions:ablate",
    "asked": "millrace.verbs.asked:asked",
    "serve-model": "millrace.verbs.serve_model:serve_model",
    "export": "millrace.verbs.export:export",
    "corpora": "millrace.verbs.corpora:corpora",
    "runs": "millrace.verbs.runs:runs",
    "dlq": "millrace.verbs.dlq:dlq",
    "repair": "millrace.verbs.repair:repair",
    "check": "millrace.verbs.check:check",
    "tune": "millrace.verbs.tune:tune",
    "oracle": "millrace.verbs.oracle:oracle",
    "broker": "millrace.verbs.broker:broker",
}
_HELP = {
    "demo": "The shipped example, from text to a page, on this machine.",
    "run": "Everything in one process: produce, compute, aggregate, snapshot.",
    "produce": "Write text as token batches to a corpus.",
    "activations": "A worker that computes activations for a run.",
    "aggregates": "A worker that keeps a run's per-cluster state and writes snapshots.",
    "snapshot": "Take a snapshot of a run as it stands.",
    "verify": "Recompute the content hash of a snapshot from its files.",
    "derive": "Attach logit lens, neighbours, norms and a map to a finished snapshot.",
    "label": "Name features and clusters, without or with a language model.",
    "score": "Score labels and features on contexts that no labeller saw.",
    "embed": "Attach vectors of labels and contexts, to search by concept.",
    "cluster": "Make cluster files from directions, co-activation or merges of SPD.",
    "diff": "Compare two snapshots: numbers that changed, examples that came and went.",
    "compare-dictionaries": "Compare a run's dictionaries: leading, shared, specialised features.",
    "compare-models": "Match features of several models by the text at which they are active.",
    "dashboard": "Serve pages for the snapshots of a broker or of one folder.",
    "ask": "Show which features are most active on texts of your own.",
    "concept": "Rank features by how well they tell texts with a concept from others.",
    "steer": "Continue prompts with a feature's decoder direction added.",
    "ablate": "Show what replacing the activation of features does to the next tokens.",
    "asked": "List and ask again what was asked of models.",
    "serve-model": "Keep a model loaded and answer such questions over HTTP.",
    "export": "Write a snapshot in the format of another tool.",
    "corpora": "List, show, dump, load, rebatch and delete corpora.",
    "runs": "Create, list, show and delete runs.",
    "dlq": "List, show and export dead letters.",
    "repair": "Have a run's missing batches computed again.",
    "check": "Load a run's parts, compute a few rows, and say what comes out.",
    "tune": "Measure micro-batch sizes and dtypes for a model on this machine.",
    "oracle": "Compute a run's data in one plain process, to compare.",
    "broker": "A native Apache Kafka for those without Docker.",
}


class _Verbs(SuggestingGroup):
    """Finds verbs in other modules and imports one only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, None for an unknown one."""
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(_HELP.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="MILLRACE_LOG_FORMAT",
    show_envvar=True,
    help="Logs as lines for people, or one JSON object per line.",
)
@click.version_option(package_name="millrace")
def cli(verbose: int, log_format: Literal["text", "json"]) -> None:
    """Millrace turns text into dashboards of the features and clusters of a language model.

    Text goes in as token batches on Kafka, workers compute activations and keep max-activating
    examples, exact counts and histograms of every cluster, and a page shows them. Try
    `millrace demo`. Settings come from a TOML file (--settings), MILLRACE_... in the environment,
    and options, each overriding the one before.
    """
    from millrace.logs import set_up_logs

    set_up_logs(verbose, log_format)


def main() -> None:
    """Run the program and end the process with its status, soon in any case."""
    status = run_program(sys.argv[1:], own_process=True)
    # All that matters has been said and stored; a thread whose device hangs would be waited for.
    last = threading.Timer(_SECONDS_TO_EXIT, os._exit, (status,))
    last.daemon = True
    last.start()
    sys.exit(status)


def run_program(arguments: Sequence[str], *, own_process: bool = False) -> int:
    """Return 0 when all went well, 2 for what the user can mend, 130 for Ctrl-C, 1 otherwise.

    Whatever goes wrong is one line on the error output. own_process: nothing else runs in it, so
    that a verb may change it for good; verbs find this as the object of click's context.
    """
    # Threads that wait by spinning stand still when they outnumber the cores that are free.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # No code that comes with a dataset, and no pickled objects, whatever was set elsewhere.
    os.environ["HF_DATASETS_TRUST_REMOTE_CODE"] = "0"
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    try:
        with no_installs("millrace"):
            # Without its standalone mode click returns the status of an Exit.
            status = cli.main(
                list(arguments), prog_name="millrace", standalone_mode=False, obj=own_process
            )
    except click.exceptions.Abort:
        from millrace.logs import failed_as_json

        if not failed_as_json("interrupted", 130):
            click.echo("millrace: interrupted", err=True)
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _failed(_said(error), 2)
    except click.exceptions.Exit as end:
        return end.exit_code
    except StreamError as error:
        return _failed(str(error), 2 if isinstance(error, UserError) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}", 2)
    except Exception as error:
        log.info("What was unforeseen:", exc_info=error)
        what = f"unforeseen {type(error).__name__}: {error}"
        return _failed(f"{what}; millrace -v shows where, and we would like to know", 1)
    return status if isinstance(status, int) else 0


def _failed(what: str, status: int) -> int:
    from millrace.logs import failed_as_json

    said = without_credentials(" ".join(what.split()))
    if not failed_as_json(said, status):
        click.echo(f"millrace: error: {said}", err=True)
    return status


def _said(error: click.ClickException) -> str:
    """Return what click says, and for wrong usage where the right one stands."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    said = error.format_message().rstrip(".")
    return f"{said}; see {context.command_path} --help" if context else said
