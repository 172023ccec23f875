"""Tables of plain text, each row one line. Thousands of rows take no time, as every cell is measured once."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

RULE = "─"
"""Drawn below the headings."""
CUT = "…"
"""Stands for what there is no room for."""


def text_table(
    heads: Sequence[str],
    columns: Sequence[Sequence[str]],
    *,
    left: Sequence[bool],
    gap: int,
    width: int,
    styles: Sequence[tuple[str, str]],
) -> Text:
    """Return a table; print it with `soft_wrap=True`, as its lines fit already.

    Args:
        heads: Headings, which may have several lines.
        columns: The cells of each, printable and without line breaks.
        left: Whether a column stands to the left: words, not numbers.
        gap: Spaces between columns.
        width: Characters in a line; the widest columns are cut to fit.
        styles: Of each row: the first cell's style and that of the others.
    """
    titles = [head.split("\n") for head in heads]
    widths = [max(map(_length, (*title, *cells)), default=0) for title, cells in zip(titles, columns, strict=True)]
    widths = _fitting(widths, width - gap * (len(widths) - 1))
    height = max(map(len, titles), default=1)
    above = [[""] * (height - len(title)) + title for title in titles]
    space = " " * gap
    table = Text()
    for cells in zip(*above, strict=True):
        table.append(f"{space.join(_line(cells, widths, left=left)).rstrip()}\n", "bold")
    table.append(RULE * (sum(widths) + gap * (len(widths) - 1)))
    for cells, (first, others) in zip(zip(*columns, strict=True), styles, strict=True):
        line = _line(cells, widths, left=left)
        table.append(f"\n{line[0]}", first)
        table.append(f"{space}{space.join(line[1:])}".rstrip(), others)
    return table


def _fitting(widths: Sequence[int], room: int) -> list[int]:
    """Return widths that sum to no more than the room, as far as that goes: the widest columns are cut to the same."""
    if sum(widths) <= room:
        return list(widths)
    most = next((most for most in range(max(widths), 1, -1) if sum(min(one, most) for one in widths) <= room), 1)
    return [min(width, most) for width in widths]


def _line(cells: Sequence[str], widths: Sequence[int], *, left: Sequence[bool]) -> list[str]:
    return [_cell(cell, width, left=at_left) for cell, width, at_left in zip(cells, widths, left, strict=True)]


def _cell(text: str, width: int, *, left: bool) -> str:
    length = _length(text)
    if length > width:
        return f"{set_cell_size(text, width - 1)}{CUT}"
    space = " " * (width - length)
    if left:
        return text + space
    return space + text


def _length(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return cell_len(text)
