"""Jinja environment of the pages: the templates, what they may call, and how text is shown."""

from collections.abc import Sequence
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined

from downstream.reading.token_text import visible
from downstream.rendering import figures, formats, token_html
from downstream.rendering.assets import Assets

_MODULES = (formats, figures, token_html)


def environment(
    addresses: Any, assets: Assets, *, served: bool, more: Sequence[BaseLoader] = ()
) -> Environment:
    """Return the templates of pages.

    addresses: makes them, as the module ``addresses`` does; "" is the address of a page that is not
    there. served: whether a server answers, so that pages can search and follow. more: loaders of
    further templates, looked at first.
    """
    found = Environment(
        loader=ChoiceLoader([*more, PackageLoader("downstream.rendering")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    for module in _MODULES:
        found.globals[module.__name__.rpartition(".")[2]] = module
    found.globals |= {"addresses": addresses, "assets": assets, "on_server": served}
    return found


def _plain(value: object) -> object:
    """Give what hides or bends text a sign, whatever a template shows: labels, names, messages."""
    return visible(value) if type(value) is str and not value.isprintable() else value
