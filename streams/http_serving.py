"""Serving an aiohttp application on an address until the process is interrupted."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from streams.errors import UserError

_LONGEST_LINE = 2**17  # of a request: two texts of 4,000 characters that are all escapes


async def serve_app(
    app: web.Application, host: str, port: int, report: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM. report: is told the address, ``http://host:port/``, once.

    Raises UserError if the address cannot be listened on.
    """
    stopped = asyncio.Event()
    runner = web.AppRunner(app, access_log=None, max_line_size=_LONGEST_LINE)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"cannot listen on {host}:{port}: {reason}; try another port"
            raise UserError(message) from error
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        report(f"http://{_shown(host)}:{runner.addresses[0][1]}/")
        await stopped.wait()
    finally:
        await runner.cleanup()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
