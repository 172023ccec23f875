"""Puts template, styles, scripts and data together into one page that can load and run nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping

from segbench.report.html.templates import ASSETS, filled

STYLES = ("uplot/uPlot.min.css", "style.css", "parts.css")
SCRIPTS = (
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
)
"""In the order in which they run."""


def render(data: Mapping[str, object], view: Mapping[str, object]) -> str:
    """Return the page.

    The content security policy names the digest of each of our styles and scripts and forbids everything else but
    pictures within the page: whatever a run folder brings can neither run nor load anything, should it ever get past
    the escaping.

    Args:
        data: What the scripts draw, embedded as JSON; the template knows it as `data`.
        view: Variables of the template; strings are escaped by it.
    """
    styles = [_asset(name) for name in STYLES]
    scripts = [_asset(name) for name in SCRIPTS]
    policy = (
        f"default-src 'none'; script-src {_digests(scripts)}; style-src {_digests(styles)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    own = {"policy": policy, "styles": styles, "scripts": scripts, "packed": packed(data), "data": data}
    return filled("report.html.j2", **own, **view)


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
