"""A worker process with a stand-in for the model: ``python -m tests.chaos.worker SIDE ...``."""

import argparse
import logging

from consumers.activations.standin import StandInEngine
from consumers.health.progress import Progress
from consumers.plan import make_plan
from consumers.service.serving import Crew, serve_run
from streams.catalog.runs import get_run
from streams.transport.connect import connect


def main() -> None:
    """Serve one side of a run until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("activations", "aggregates"))
    parser.add_argument("--broker", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--session", type=float, default=6.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    client = connect(given.broker)
    plan = make_plan(get_run(client, given.run))
    client.close()
    crew = Crew(given.side == "activations", given.side == "aggregates")
    engine = StandInEngine(plan, density=0.1, latency=given.latency)
    serve_run(
        plan,
        given.broker,
        crew,
        lambda: engine,
        Progress(),
        until_final=False,
        session=given.session,
    )


if __name__ == "__main__":
    main()
