"""``millrace steer`` and ``millrace ablate``: features changed while the model reads text."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consumers.interventions.requests import REPLACEMENTS, Ablation, Replacement, Steering
from millrace.options import option, stacked
from millrace.verbs.ask import expect_file, format_options, model_options, model_settings

if TYPE_CHECKING:
    from millrace.answer_files import Form

_common = stacked(
    model_options,
    option(
        "--at",
        default="counted",
        show_default=True,
        metavar="PLACE",
        help="Tokens of the text to change: counted (as a run counts them), all, last, or 0,3-5.",
    ),
    option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Seed of what is drawn.",
    ),
    option(
        "--record",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Do again what FILE says, which --format json wrote.",
    ),
    format_options,
)


@click.command()
@click.argument("prompt", nargs=-1)
@option("--feature", metavar="SOURCE:INDEX", help="Feature whose decoder direction is added.")
@option(
    "--alpha",
    "alphas",
    type=float,
    multiple=True,
    show_default="1, 2, 4, 8",
    help="Strength, in units of SCALE; may be repeated. All of them share one batch.",
)
@option(
    "--scale",
    type=float,
    show_default="the feature's maximum activation: of the snapshot, or over the prompts",
    help="What an alpha of 1 adds.",
)
@option(
    "--tokens",
    type=click.IntRange(1, 4096),
    default=30,
    show_default=True,
    help="Tokens that each prompt is continued by.",
)
@option(
    "--temperature",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    help="Draw tokens at this temperature; 0 takes the likeliest.",
)
@_common
def steer(
    prompt: tuple[str, ...],
    feature: str | None,
    alphas: tuple[float, ...],
    scale: float | None,
    tokens: int,
    temperature: float,
    snapshot: str | None,
    at: str,
    seed: int,
    record: Path | None,
    form: "Form",
    out: Path | None,
    **values: Any,
) -> None:
    """Continue each PROMPT with a feature's decoder direction added, for several strengths.

    Shows the continuations beside those of the plain model, what changes at the next token, and
    which strength has the best score: the harmonic mean of concept (how active the feature is in
    the continuation) and fluency (by the plain model's own loss).
    """
    _expect_one(record, prompt, feature)
    expect_file(form, out)
    from millrace.answer_files import put
    from millrace.intervening import steered
    from millrace.intervention_files import written

    wanted: Steering | Path = record or Steering(
        prompt, feature or "", alphas or (1.0, 2.0, 4.0, 8.0), scale, tokens, at, temperature, seed
    )
    answer, kept = steered(model_settings(**values), snapshot, wanted)
    put(written(answer, kept, form), out)


@click.command()
@click.argument("text", nargs=-1)
@option(
    "--feature",
    "features",
    metavar="SOURCE:INDEX",
    multiple=True,
    show_default="the most active ones",
    help="Feature to ablate; may be repeated. Each is alone in its row of the batch.",
)
@option(
    "--top",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Without a feature: so many of each dictionary, the most active on the texts.",
)
@option(
    "--by",
    type=click.Choice(REPLACEMENTS),
    default="zero",
    show_default=True,
    help="What takes the activation's place: 0, its mean over the texts, its value at tokens drawn "
    "from them, or VALUE.",
)
@option("--value", type=float, default=0.0, show_default=True, help="The activation of clamp.")
@_common
def ablate(
    text: tuple[str, ...],
    features: tuple[str, ...],
    top: int,
    by: Replacement,
    value: float,
    snapshot: str | None,
    at: str,
    seed: int,
    record: Path | None,
    form: "Form",
    out: Path | None,
    **values: Any,
) -> None:
    """Replace the activation of features, one at a time, and show what that does to each TEXT.

    KL of the next-token distribution from the plain model's, the rise of the loss, and the tokens
    that become likelier and less likely after the text. All features share their batches.
    """
    _expect_one(record, text, *features)
    expect_file(form, out)
    from millrace.answer_files import put
    from millrace.intervening import ablated
    from millrace.intervention_files import written

    wanted: Ablation | Path = record or Ablation(text, features, top, by, value, at, seed)
    answer, kept = ablated(model_settings(**values), snapshot, wanted)
    put(written(answer, kept, form), out)


def _expect_one(record: Path | None, texts: tuple[str, ...], *features: str | None) -> None:
    if record is not None and (texts or any(features)):
        raise click.UsageError("a record says what to do: leave out texts and --feature")
