"""``millrace steer`` and ``millrace ablate``: features changed while the model reads text."""

from typing import TYPE_CHECKING

import click

from consumers.interventions.requests import REPLACEMENTS, Ablation, Replacement, Steering
from millrace.options import option, stacked
from millrace.verbs.asking_options import Asked, asking

if TYPE_CHECKING:
    from pathlib import Path

_common = stacked(
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
@asking
def steer(
    asked: Asked,
    prompt: tuple[str, ...],
    feature: str | None,
    alphas: tuple[float, ...],
    scale: float | None,
    tokens: int,
    temperature: float,
    at: str,
    seed: int,
) -> None:
    """Continue each PROMPT with a feature's decoder direction added, for several strengths.

    Shows the continuations beside those of the plain model, what changes at the next token, and
    which strength has the best score: the harmonic mean of concept (how active the feature is in
    the continuation) and fluency (by the plain model's own loss).
    """
    asked.expect_alone(prompt, feature)
    from millrace.intervening import steered
    from millrace.intervention_files import written

    wanted: Steering | Path = asked.record or Steering(
        prompt, feature or "", alphas or (1.0, 2.0, 4.0, 8.0), scale, tokens, at, temperature, seed
    )
    answer, record = steered(asked.settings, asked.snapshot, wanted)
    asked.keep(record)
    asked.put(written(answer, record, asked.form))


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
@asking
def ablate(
    asked: Asked,
    text: tuple[str, ...],
    features: tuple[str, ...],
    top: int,
    by: Replacement,
    value: float,
    at: str,
    seed: int,
) -> None:
    """Replace the activation of features, one at a time, and show what that does to each TEXT.

    KL of the next-token distribution from the plain model's, the rise of the loss, and the tokens
    that become likelier and less likely after the text. All features share their batches.
    """
    asked.expect_alone(text, features)
    from millrace.intervening import ablated
    from millrace.intervention_files import written

    wanted: Ablation | Path = asked.record or Ablation(text, features, top, by, value, at, seed)
    answer, record = ablated(asked.settings, asked.snapshot, wanted)
    asked.keep(record)
    asked.put(written(answer, record, asked.form))
