"""``millrace label``: labels of features and clusters, without or with a language model."""

from pathlib import Path
from typing import Any

import click

from millrace.options import option, run_option, stacked

endpoint_options = stacked(
    option("--endpoint", metavar="URL", help="OpenAI-compatible service, up to /v1."),
    option("--model", metavar="NAME", help="Model that the service is to use."),
    option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        show_default="MILLRACE_ENDPOINT_KEY, or MILLRACE_ENDPOINT_KEY_FILE",
        help="File of the service's key.",
    ),
    option(
        "--at-once",
        type=click.IntRange(1, 256),
        default=8,
        show_default=True,
        help="Requests on their way together.",
    ),
    option(
        "--requests-per-minute", type=click.FloatRange(0, min_open=True), help="Rate of requests."
    ),
    option(
        "--tokens-per-minute",
        type=click.FloatRange(0, min_open=True),
        help="Rate of tokens, prompts and answers together.",
    ),
    option(
        "--budget-tokens",
        type=click.IntRange(1),
        help="Stop before more tokens than this are used, prompts and answers together.",
    ),
    option(
        "--budget",
        "money",
        type=click.FloatRange(0, min_open=True),
        help="Stop before more money than this is spent; needs the two prices.",
    ),
    option(
        "--price-prompt",
        type=click.FloatRange(0),
        default=0.0,
        help="Money for a million prompt tokens.",
    ),
    option(
        "--price-completion",
        type=click.FloatRange(0),
        default=0.0,
        help="Money for a million tokens of answers.",
    ),
    option(
        "--timeout",
        "seconds",
        type=click.FloatRange(0, 3600, min_open=True),
        default=60.0,
        show_default=True,
        help="Seconds for an answer.",
    ),
    option(
        "--attempts",
        type=click.IntRange(1, 100),
        default=6,
        show_default=True,
        help="Attempts for a request, with growing or asked-for pauses between them.",
    ),
    option(
        "--log",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        show_default=".millrace/answers/RUN-CONTENT-NAME.jsonl",
        help="Where questions and answers are kept; what is in it is not asked again.",
    ),
)
clusters_options = stacked(
    option("--clustering", metavar="NAME", show_default="the first", help="Which clusters."),
    option(
        "--feature",
        "features",
        metavar="SOURCE:INDEX",
        multiple=True,
        help="A single feature instead; may be repeated.",
    ),
    option(
        "--sample",
        type=click.IntRange(1),
        metavar="N",
        help="Only N of them, chosen by hash; a larger N has the same ones and more.",
    ),
)


@click.command()
@click.argument("snapshot")
@run_option
@click.option("--local", is_flag=True, help="Ask no language model: labels from tokens alone.")
@option("--name", metavar="NAME", show_default="the model's", help="Name of the attachment.")
@clusters_options
@endpoint_options
def label(
    snapshot: str, run_name: str | None, local: bool, name: str | None, **values: Any
) -> None:
    """Name the features and clusters of a finished SNAPSHOT.

    SNAPSHOT is a store, or the folder or manifest of a run or a snapshot. With --local every label
    is made of what is known already: the tokens at which a feature's best examples peak, those
    first that its neighbours do not have, and what it promotes by its logit lens, which
    `millrace derive neighbours` and `millrace derive logit_lens` attach. With --endpoint a language
    model is shown the strongest contexts, weaker ones, and some in which the feature is silent.

    Labels are an attachment; pages show them where nobody wrote one.
    """
    from millrace.labelling import label_by_model, label_locally

    if local == (values["endpoint"] is not None):
        raise click.UsageError("say either --local, or --endpoint and --model")
    if local:
        lines = label_locally(snapshot, run_name)
    elif not values["model"]:
        raise click.UsageError("--endpoint needs --model")
    else:
        lines = label_by_model(snapshot, run_name, name, **values)
    for line in lines:
        click.echo(line)
