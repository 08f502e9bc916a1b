"""Serving a loaded model over HTTP from settings."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.asked_records import keeper
from millrace.asking import open_asker
from millrace.dashboard_server import expect_port, token_in
from millrace.progress_bars import say
from streams.asking.question import Question

if TYPE_CHECKING:
    from millrace.settings import Settings


def serve(
    settings: "Settings",
    snapshot: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    *,
    keep: bool = True,
    sentence_model: Path | None = None,
) -> None:
    """Answer questions until interrupted; errors are those of ``open_asker`` and of the port.

    snapshot: see ``open_asker``. token_file: holds what those who ask have to send.
    keep: whether records of what is asked are kept in the store. sentence_model: its folder; it is
    loaded when texts are first to be embedded.
    """
    token = token_in(token_file) if token_file else None
    expect_port(host, port)
    asker = open_asker(settings, snapshot)
    asker.ask(Question(("warm up",)))  # what is compiled at first use is compiled now
    from consumers.asking.concept import find_features
    from consumers.interventions.answering import ablate, steer
    from consumers.interventions.intervener import Intervener
    from consumers.model_service.limits import AskLimits
    from consumers.model_service.service import make_service
    from consumers.sentences.embedder import Embedder
    from streams.http_serving import serve_app

    sources = ", ".join(source.name for source in asker.setup.sources)
    say(f"Model {asker.setup.model.location} with {sources} on {asker.engine.model.device}")
    changing = Intervener(asker)
    service = make_service(
        asker,
        token=token,
        steer=partial(steer, changing),
        ablate=partial(ablate, changing),
        embed=Embedder(sentence_model).embed,
        concept=partial(find_features, asker, tokens=AskLimits().tokens),
        keep=keeper(settings, snapshot, asker.setup) if keep else None,
    )
    asyncio.run(
        serve_app(service, host, port, lambda url: say(f"Questions: {url}ask  (Ctrl-C ends it)"))
    )
