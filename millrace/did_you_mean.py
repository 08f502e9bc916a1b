"""Did-you-mean: groups of verbs that know what a mistyped one was to be."""

import difflib
from typing import Any

import click


class SuggestingGroup(click.Group):
    """Names the verbs that come close when one is unknown."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a verb; raise UsageError with suggestions for an unknown one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(args[0].lower(), names, n=3, cutoff=0.5) or [
                name for name in names if len(args[0]) > 1 and name.startswith(args[0].lower())
            ]
            if args[0].startswith("-") or not close:
                raise
            said = f"{error.message.rstrip('.')}. Did you mean {' or '.join(close)}?"
            raise click.UsageError(said, ctx) from error
