"""Untrusted text in the cells of a spreadsheet and of a Markdown table."""

from __future__ import annotations

import re

from segbench.core.text import duration, printable

LONGEST = 300
"""Characters of an untrusted text that are shown, where nothing else is said."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = {character: f"\\{character}" for character in "\\|`*[]"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_EDGE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Underscores that would begin or end emphasis; those inside a word do not."""


def csv_cell(value: str | float | None) -> str | float:
    """Return a cell that no spreadsheet runs: text that looks like a formula and is no number gets a `'` in front."""
    if value is None:
        return ""
    if not isinstance(value, str):
        if value == int(value):
            return int(value)
        return value
    plain = printable(value, 10 * LONGEST)
    if plain.lstrip(" ").startswith(_FORMULA) and not _is_number(plain):
        return f"'{plain}"
    return plain


def markdown_cell(text: str, longest: int = LONGEST) -> str:
    """Return text that stays one cell of a Markdown table and makes no markup, links or HTML."""
    return _EDGE.sub(r"\\_", "".join(_MARKDOWN.get(one, one) for one in printable(text, longest)))


def si(value: float) -> str:
    """Return three digits and a thousand's letter: `123k`, `7.01M`, `683`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:.3g}"


def interval_text(low: float | None, high: float | None) -> str:
    """Return `0.8012 to 0.8214`, or `-`."""
    if low is None or high is None:
        return "-"
    return f"{low:.4f} to {high:.4f}"


def cost_text(name: str, value: float | None) -> str:
    """Return a cost with its size's letter, seconds as a duration, or `-`."""
    if value is None:
        return "-"
    if name == "seconds":
        return duration(value)
    return si(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
