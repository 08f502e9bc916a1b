"""The program ``millrace``: verbs are loaded when they are used, so that help comes at once."""

import importlib
import logging
import os
import sys

import click

from streams.errors import StreamError, UserError

_VERBS = {
    "demo": "millrace.verbs.demo:demo",
    "run": "millrace.verbs.run:run",
    "produce": "millrace.verbs.produce:produce",
    "activations": "millrace.verbs.workers:activations",
    "aggregates": "millrace.verbs.workers:aggregates",
    "snapshot": "millrace.verbs.snapshot:snapshot",
    "verify": "millrace.verbs.snapshot:verify",
    "dashboard": "millrace.verbs.dashboard:dashboard",
    "corpora": "millrace.verbs.corpora:corpora",
    "runs": "millrace.verbs.runs:runs",
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
    "dashboard": "Serve pages for the snapshots of a broker or of one folder.",
    "corpora": "List, show, dump, load and delete corpora.",
    "runs": "Create, list, show and delete runs.",
    "oracle": "Compute a run's data in one plain process, to compare.",
    "broker": "A native Apache Kafka for those without Docker.",
}


class _Verbs(click.Group):
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
@click.version_option(package_name="millrace")
def cli(verbose: int) -> None:
    """Millrace turns text into dashboards of what excites a model's features and clusters.

    Text goes in as token batches on Kafka, workers compute activations and keep the best contexts,
    exact counts and histograms of every cluster, and a page shows them. Try `millrace demo`.
    Settings come from a TOML file (--settings), MILLRACE_... in the environment, and options, each
    overriding the one before.
    """
    levels = [logging.WARNING, logging.INFO, logging.DEBUG]
    logging.basicConfig(
        level=levels[min(verbose, 2)], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(levels[min(verbose, 2)] + (10 if verbose < 2 else 0))


def main() -> None:
    """Run the program: 0 when all went well, 2 for what the user can mend, 1 otherwise."""
    # Threads that wait by spinning stand still when they outnumber the cores that are free.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("millrace: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except StreamError as error:
        click.echo(f"millrace: error: {' '.join(str(error).split())}", err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"millrace: error: {where}{error.strerror or error}", err=True)
        sys.exit(2)
