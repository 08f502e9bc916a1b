"""``millrace concept``: features that tell texts with a concept from texts without it."""

from pathlib import Path

import click

from millrace.options import option, stacked
from millrace.verbs.asking_options import Asked, asking
from streams.asking.concept import TEXT_SCORES, ConceptQuestion, TextScore

_FILE = click.Path(allow_dash=True, path_type=Path)

_texts = stacked(
    option("--with", "present", metavar="TEXT", multiple=True, help="A text with the concept."),
    option("--without", "absent", metavar="TEXT", multiple=True, help="A text without it."),
    option(
        "--with-file",
        "present_files",
        type=_FILE,
        metavar="FILE",
        multiple=True,
        help="Each line that is not blank is a text with it; - is standard input.",
    ),
    option(
        "--without-file",
        "absent_files",
        type=_FILE,
        metavar="FILE",
        multiple=True,
        help="Each line that is not blank is a text without it.",
    ),
    option(
        "--by",
        type=click.Choice(TEXT_SCORES),
        default="maximum",
        show_default=True,
        help="A feature's number for a text: its largest activation, the mean over the tokens that "
        "count, or that at the last of them.",
    ),
    option(
        "--held-back",
        type=click.FloatRange(0, 0.9),
        default=0.5,
        show_default=True,
        help="Share of the texts that choose no features and check those that were chosen.",
    ),
    option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Seed by which texts are held back.",
    ),
)

_domains = stacked(
    option(
        "--domain",
        metavar="NAME",
        help="Instead of texts: this domain of the corpus, from the counts of --snapshot.",
    ),
    option(
        "--against",
        metavar="NAME",
        show_default="all others together",
        help="The domain that it is compared with.",
    ),
)


@click.command()
@_texts
@_domains
@option(
    "--level",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Error rate that is allowed; intervals have the rest as confidence.",
)
@option(
    "--top",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Features listed of each dictionary, or in all for a domain.",
)
@asking
def concept(
    asked: Asked,
    present: tuple[str, ...],
    absent: tuple[str, ...],
    present_files: tuple[Path, ...],
    absent_files: tuple[Path, ...],
    by: TextScore,
    held_back: float,
    seed: int,
    domain: str | None,
    against: str | None,
    level: float,
    top: int,
) -> None:
    """Rank features by how well they tell texts with a concept from texts without it.

    Texts are read by the model in padded batches, once for all dictionaries. Features are chosen by
    AUROC on some of the texts, corrected for how many were tried, and checked on the others. With
    --domain two domains of a corpus are compared by the counts of a snapshot, and no model is
    loaded.
    """
    texts = bool(present or absent or present_files or absent_files)
    if sum((texts, domain is not None, asked.record is not None)) != 1:
        raise click.UsageError("say one: texts --with and --without, a --domain, or a --record")
    if against is not None and domain is None:
        raise click.UsageError("--against needs --domain")
    if domain is not None:
        _domain(asked, domain, against, level, top)
        return
    if asked.record is not None and _domain_again(asked, asked.record):
        return
    from millrace.concept_files import written
    from millrace.concepts import found_features, texts_given

    wanted: ConceptQuestion | Path = asked.record or ConceptQuestion(
        texts_given(present, present_files),
        texts_given(absent, absent_files),
        by,
        held_back,
        level,
        top,
        seed,
    )
    answer, record = found_features(asked.settings, asked.snapshot, wanted)
    asked.keep(record)
    asked.put(written(answer, record, asked.form))


def _domain(asked: Asked, domain: str, against: str | None, level: float, top: int) -> None:
    if asked.snapshot is None:
        raise click.UsageError("--domain needs --snapshot, whose counts are compared")
    from downstream.reading.snapshot import open_snapshot
    from millrace.asking import now
    from millrace.comparison_answers import answered
    from millrace.comparison_records import domain_record

    opened = open_snapshot(asked.snapshot, asked.settings.run.name)
    record = domain_record(opened, domain, against, level, top, now())
    data = answered(record, [opened], asked.form, "")
    asked.keep(record)
    asked.put(data)


def _domain_again(asked: Asked, file: Path) -> bool:
    """Answer a record again if it is about a domain; return whether it is."""
    from consumers.asking.record import MAX_BYTES, form_of
    from millrace.asking import now
    from millrace.comparison_answers import answered_again
    from millrace.comparison_records import DOMAIN, DomainRecord, record_in
    from streams.regular_files import read_bounded

    if form_of(read_bounded(file, MAX_BYTES), str(file)) != DOMAIN:
        return False
    asked.put(answered_again(record_in(file, DomainRecord), now(), asked.form, ""))
    return True
