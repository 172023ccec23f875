"""Tables of groups that fit their place: a block for each data set, what all rows share said once, a line a row."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from segbench.compare.comparison import Comparison
from segbench.compare.labels import short_names, shorten, shorten_apart
from segbench.compare.tables import COST_HEADS, FRONT_HEAD, TRIVIAL_HEAD, chosen_heads, group_table, metric_head
from segbench.core.text import printable

FIRST_DROPPED = (FRONT_HEAD, *reversed(COST_HEADS.values()), TRIVIAL_HEAD, "sd", "images")
"""Columns that are left out where there is no room, in this order; then settings are shortened or joined."""
SAID_ONCE = ("n", "images", TRIVIAL_HEAD, *COST_HEADS.values())
"""Columns that are said above the table where all rows have the same; settings are as well."""
NOTHING = {"", "-"}
LONGEST = 40
"""Characters of a setting where there is room."""
USUAL = 16
"""Those before columns are dropped for it."""
SHORTEST = 7
"""Those where there is no room."""
HEAD_LINE = 10
"""Characters of a line of a heading where there is little room."""
ROOM_FOR_JOINED = 24
"""Characters that one column of all settings should have."""
NARROW = 100
"""Characters of a line below which columns stand closer."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    head: str
    """Its heading."""

    cells: list[str]
    """Its texts, one a row."""

    setting: bool = False
    """Whether it tells groups apart, and may be shortened."""
    left: bool = False
    """Whether it stands to the left: words, not numbers."""
    narrow: bool = False
    """Whether its heading may take several lines."""

    @property
    def head_lines(self) -> list[str]:
        """The lines of the heading: `test/` and `mean_iou` where there is little room."""
        if not self.narrow or self.setting or len(self.head) <= HEAD_LINE:
            return [self.head]
        split, slash, rest = self.head.rpartition("/")
        return [split + slash] * bool(slash) + textwrap.wrap(rest, HEAD_LINE, break_long_words=False)

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(map(len, (*self.head_lines, *self.cells)))

    def shortened(self, most: int) -> Column:
        """Return a column of settings of at most so many characters, any other as it is."""
        if not self.setting:
            return self
        return replace(self, head=shorten(self.head, most), cells=shorten_apart(self.cells, most))


@dataclass(frozen=True)
class Block:
    """The table of the groups of one data set."""

    title: str
    """What all rows have in common; "" where that is nothing."""
    columns: list[Column]
    """What is shown, each cell one line."""
    bold: list[bool]
    """Whether a row is the chosen one."""
    dropped: list[str]
    """Headings of the columns for which there is no room."""


def gap(width: int) -> int:
    """Return the spaces between columns in a line of `width` characters."""
    if width < NARROW:
        return 1
    return 2


def blocks(comparison: Comparison, width: int) -> list[Block]:
    """Return a table for each data set, those with the newest runs first.

    Args:
        comparison: What is shown.
        width: Characters in a line.
    """
    heads, cells = group_table(comparison)
    rows = dict(zip(comparison.groups, [[printable(cell, 200) for cell in row] for row in cells], strict=True))
    whole = metric_head(comparison, comparison.groups)
    families = [[group for group in rows if group.data == data] for data in dict.fromkeys(group.data for group in rows)]
    several = len(families) > 1
    found = []
    for groups in families:
        data = [f"data {comparison.data_labels[groups[0].data]}"] * several
        own = [metric_head(comparison, groups) if head == whole else head for head in heads]
        columns = _columns(
            own, [rows[group] for group in groups], settings=len(comparison.columns), without_data=several
        )
        columns = [replace(column, narrow=width < NARROW) for column in columns]
        bold = [group.best for group in groups]
        chosen_by = "".join(chosen_heads(comparison))
        found.append(_fitted(columns, data, bold=bold, width=width, chosen_by=chosen_by))
    return found


def _columns(heads: Sequence[str], rows: Sequence[Sequence[str]], *, settings: int, without_data: bool) -> list[Column]:
    names = short_names(heads)
    columns = []
    for place, head in enumerate(heads):
        setting = 0 < place <= settings
        if without_data and place == settings + 1:
            continue
        short = names[place] if setting else head
        words = setting or place in (0, len(heads) - 1) or head == FRONT_HEAD
        columns.append(Column(short, [row[place] for row in rows], setting, words))
    return columns


def _fitted(columns: list[Column], title: list[str], *, bold: list[bool], width: int, chosen_by: str) -> Block:
    columns, shared = _without_shared(columns)
    dropped: list[str] = []
    for head in FIRST_DROPPED:
        if _width(columns, USUAL, width=width) > width and any(column.head == head for column in columns):
            columns = [column for column in columns if column.head != head]
            dropped.append(head)
    if _width(columns, SHORTEST, width=width) > width:
        kept = [column for column in columns if column.head != chosen_by]
        if width - _width([column for column in columns if not column.setting], 0, width=width) < ROOM_FOR_JOINED:
            dropped += [chosen_by] * (len(kept) < len(columns))
            columns = kept
        columns, common = _joined(columns, width=width)
        shared += common
    most = next(
        (most for most in range(LONGEST, SHORTEST, -1) if _width(columns, most, width=width) <= width), SHORTEST
    )
    if sum(column.setting for column in columns) == 1:
        most = max(SHORTEST, width - _width([column for column in columns if not column.setting], 0, width=width) - 2)
    return Block(", ".join([*title, *shared]), [column.shortened(most) for column in columns], bold, dropped)


def _without_shared(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """Return the columns that tell rows apart, and what the others say of all rows."""
    kept = []
    shared = []
    for column in columns:
        values = set(column.cells)
        if values <= NOTHING and column.head:
            continue
        alone = len(column.cells) == 1 and not column.setting
        if len(values) > 1 or alone or not (column.setting or column.head in SAID_ONCE):
            kept.append(column)
        else:
            shared += [_words(column.head, value) for value in values - NOTHING]
    return kept, shared


def _joined(columns: Sequence[Column], *, width: int) -> tuple[list[Column], list[str]]:
    """Return the columns with one for all settings, which names those that differ from the most common value."""
    settings = [column for column in columns if column.setting]
    rest = [column for column in columns if not column.setting]
    common = [Counter(column.cells).most_common(1)[0][0] for column in settings]
    room = max(SHORTEST, width - _width(rest, 0, width=width) - gap(width))
    cells: list[str] = []
    for most in range(LONGEST, SHORTEST - 1, -1):
        cells = _differing(settings, common, most=most)
        if max(map(len, cells)) <= room:
            break
    joined = Column("settings", cells, setting=True, left=True)
    words = [_words(column.head, value) for column, value in zip(settings, common, strict=True) if value]
    return [rest[0], joined, *rest[1:]], [f"else {' '.join(words)}"] if words else []


def _differing(settings: Sequence[Column], common: Sequence[str], *, most: int) -> list[str]:
    """Return what each row has of values other than the common ones, each of at most `most` characters."""
    short = [shorten_apart(column.cells, most) for column in settings]
    cells = []
    for row, values in enumerate(zip(*short, strict=True)):
        told = zip(settings, values, common, strict=True)
        cells.append(
            " ".join(f"{column.head}={value or 'none'}" for column, value, usual in told if column.cells[row] != usual)
        )
    return [cell or "-" for cell in cells]


def _words(head: str, value: str) -> str:
    if head == "images":
        return f"{value} images"
    if head == TRIVIAL_HEAD:
        return f"{value} for painting the most frequent class everywhere"
    return f"{head}={value}"


def _width(columns: Sequence[Column], most: int, *, width: int) -> int:
    widths = [min(column.width, most) if column.setting else column.width for column in columns]
    return sum(widths) + gap(width) * (len(columns) - 1)
