"""The page of `segbench app`: what trained networks say of a picture that is dropped on it."""

from __future__ import annotations

from collections.abc import Sequence

from segbench import __version__
from segbench.core.plain import Plain
from segbench.report.html.page import Page, render

APP = Page("app.html.j2", ("style.css", "app.css"), ("base.js", "theme.js", "app.js", "start.js"), "'self'")


def app_page(runs: Sequence[Plain], suffixes: Sequence[str], *, most_bytes: int) -> str:
    """Return the page; it asks its own server alone.

    Args:
        runs: Of each run `name`, `classes`, `colours`, `heads`, and whether it is given a `background`.
        suffixes: Endings of the files that are read.
        most_bytes: Of a picture that is sent.
    """
    view = {
        "version": __version__,
        "suffixes": ",".join(suffixes),
        "background": any(run["background"] for run in runs),
    }
    return render({"runs": list(runs), "most_bytes": most_bytes}, {**view, "runs": runs}, page=APP)
