"""Puts template, styles, scripts and data together into one page that can load and run nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from segbench.report.html.templates import ASSETS, filled


@dataclass(frozen=True)
class Page:
    """What a page is put together from."""

    template: str
    """The template; it includes styles and scripts."""

    styles: tuple[str, ...]
    """In the order in which they count."""

    scripts: tuple[str, ...]
    """In the order in which they run."""

    connects: str = "'none'"
    """What its scripts may ask, as a content security policy has it."""


REPORT = Page(
    "report.html.j2",
    ("uplot/uPlot.min.css", "style.css", "parts.css"),
    (
        "uplot/uPlot.iife.min.js",
        "base.js",
        "theme.js",
        "tables.js",
        "chart.js",
        "smooth.js",
        "curves.js",
        "pareto.js",
        "effects.js",
        "plans.js",
        "classes.js",
        "difference.js",
        "panels.js",
        "start.js",
    ),
)


def render(data: Mapping[str, object], view: Mapping[str, object], *, page: Page = REPORT) -> str:
    """Return the page.

    The content security policy names the digest of each of our styles and scripts and forbids everything else but
    pictures within the page and, where it has one, its own server: whatever a run folder brings can neither run nor
    load anything, should it ever get past the escaping.

    Args:
        data: What the scripts draw, embedded as JSON; the template knows it as `data`.
        view: Variables of the template; strings are escaped by it.
        page: What it is put together from.
    """
    styles = [_asset(name) for name in page.styles]
    scripts = [_asset(name) for name in page.scripts]
    policy = (
        f"default-src 'none'; script-src {_digests(scripts)}; style-src {_digests(styles)}; img-src data:;"
        f" connect-src {page.connects}; base-uri 'none'; form-action 'none'"
    )
    own = {"policy": policy, "styles": styles, "scripts": scripts, "packed": packed(data), "data": data}
    return filled(page.template, **own, **view)


def packed(data: object) -> str:
    """Return data as compressed JSON in base64, a tenth as long, which no browser can take for anything else."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _asset(name: str) -> str:
    # exactly what stands between the tags is what the browser takes the digest of
    text = (ASSETS / name).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower():
        raise ValueError(f"{name} would end its own element")
    return text


def _digests(texts: list[str]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)
