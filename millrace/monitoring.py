"""Options of whatever runs for long: where metrics are served, and the form of its logs."""

from typing import Any

import click

from millrace.logs import change_format
from millrace.options import option, stacked

metrics_options = stacked(
    option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        envvar="MILLRACE_METRICS_PORT",
        show_envvar=True,
        help="Serve /metrics (Prometheus), /live and /ready at this port; by default none is.",
    ),
    option(
        "--metrics-host",
        default="127.0.0.1",
        show_default=True,
        envvar="MILLRACE_METRICS_HOST",
        show_envvar=True,
        help="Address to serve them at; 0.0.0.0 for every one of this machine.",
    ),
)


def _change(ctx: Any, parameter: Any, value: Any) -> None:
    if value is not None:
        change_format(value)


log_format_option = option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="MILLRACE_LOG_FORMAT",
    show_envvar=True,
    show_default="text",
    expose_value=False,
    is_eager=True,
    callback=_change,
    help="Logs as lines for people, or one JSON object per line.",
)
