"""``millrace demo``: the example from text to page."""

from pathlib import Path

import click

from millrace.options import given, option, port_option, settings
from streams.errors import SettingsError

_EXAMPLE = Path(__file__).parents[2] / "examples" / "python-prose" / "run.toml"


@click.command()
@option("--serve/--no-serve", default=True, help="Show the result as pages until interrupted.")
@port_option
@option("--limit-tokens", type=int, show_default="1000000", help="Tokens of text to read at most.")
def demo(serve: bool, port: int, limit_tokens: int | None) -> None:
    """Run the shipped example model over texts that come with Python, and show the result."""
    from millrace.dashboard_server import expect_port, serve_pages
    from millrace.in_process import manifest_path, run_in_process

    if not _EXAMPLE.exists():
        raise SettingsError("the example is part of a clone of the project, not of an installation")
    chosen = settings(_EXAMPLE, corpus=given({"limit_tokens": limit_tokens}))
    if serve:
        expect_port("127.0.0.1", port)
    manifest = run_in_process(chosen, workers=1, replacing=True)
    if serve:
        serve_pages(manifest_path(manifest), chosen.access, "127.0.0.1", port)
