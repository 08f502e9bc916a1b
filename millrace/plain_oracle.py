"""The oracle where no broker knows the run: from settings alone, or from a dump of the corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from consumers.oracle.oracle_run import oracle_tables, topic_batches
from consumers.plan import Plan
from millrace.prepared_run import prepare
from millrace.producing import load, produce_corpus
from streams.catalog.corpora import get_vocabulary
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings


def oracle_from_settings(
    client: Client, settings: "Settings", dump: Path | None
) -> tuple[Plan, dict[str, pa.Table]]:
    """Return the plan and the tables of the run that settings describe.

    The corpus is made in the embedded broker, or loaded into it from a dump. Raises what creating a
    run and producing raise.
    """
    if dump is not None:
        name = load(client, dump).name
        corpus = settings.corpus.model_copy(update={"name": name, "text": ()})
        settings = settings.model_copy(update={"corpus": corpus})
    prepared = prepare(client, settings)
    if prepared.text is not None:
        produce_corpus(client, prepared.text)
    engine, plan = prepared.engine, prepared.engine.plan
    vocabulary = get_vocabulary(client, plan.run.corpus)
    batches = topic_batches(client, plan)
    return plan, oracle_tables(plan, engine, batches, vocabulary.tokens, vocabulary.forms)
