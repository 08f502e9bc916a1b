"""Confirmation: asking before something is removed."""

import sys

import click

from streams.errors import UserError

yes_option = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")


def confirm(what: str, *, yes: bool) -> None:
    """Return if the user agrees to delete ``what``, or has said --yes.

    Ends the program with status 1 for a no. Raises UserError where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"nothing was deleted: there is no terminal to ask on; add --yes to delete {what}"
        )
    if not click.confirm(f"Delete {what}?", err=True):
        click.echo("nothing was deleted", err=True)
        raise click.exceptions.Exit(1)
