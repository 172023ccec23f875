"""Words of strangers made harmless: for a terminal, a spreadsheet, Markdown."""

from __future__ import annotations

import re

LONGEST = 300
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = {character: f"\\{character}" for character in "\\|`*[]"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_EDGE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Underscores that would begin or end emphasis; those inside a word do not."""


def printable(text: str, longest: int = LONGEST) -> str:
    r"""Return text of one line without control characters: those, line breaks and marks that turn the direction of
    writing become `\x1b`, `\n` or `\u202e`; beyond `longest` characters it is cut.
    """  # noqa: D205
    short = text if len(text) <= longest else text[: longest - 3] + "..."
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in short)


def csv_cell(value: str | float | None) -> str | float:
    """Return a cell that no spreadsheet runs: text that looks like a formula and is no number gets a `'` in front."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return int(value) if value == int(value) else value
    plain = printable(value, 10 * LONGEST)
    return f"'{plain}" if plain.lstrip(" ").startswith(_FORMULA) and not _is_number(plain) else plain


def markdown_cell(text: str, longest: int = LONGEST) -> str:
    """Return text that stays one cell of a Markdown table and makes no markup, links or HTML."""
    return _EDGE.sub(r"\\_", "".join(_MARKDOWN.get(one, one) for one in printable(text, longest)))


def si(value: float) -> str:
    """Return three digits and a thousand's letter: `123k`, `7.01M`, `683`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:.3g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
