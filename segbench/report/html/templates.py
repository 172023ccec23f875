"""Fills the templates of pages."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ASSETS = Path(__file__).parent / "assets"


def filled(template: str, **view: object) -> str:
    """Return a page.

    Args:
        template: A file of `assets/`.
        view: Its variables, all of which it needs; strings are escaped by it.
    """
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**view)
