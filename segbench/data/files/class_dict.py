"""The colours of a data set's classes, from a CSV file."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from segbench.core.errors import DataError
from segbench.data.files.texts import read_text
from segbench.data.problems import shown_name

MAX_COLOURS = 1 << 20
"""Bytes of a class dictionary; some 30,000 colours."""


def read_class_dict(path: Path) -> dict[tuple[int, int, int], str]:
    """Return the name of each colour in a CSV file with the columns name, r, g, b (several colours may share a name).

    Raises:
        DataError: if the file is missing or a row is no name and three numbers from 0 to 255, or a colour comes twice.
    """
    try:
        rows = list(csv.reader(read_text(path, "data.class_dict:", limit=MAX_COLOURS).splitlines()))
    except csv.Error as error:
        raise DataError(f"data.class_dict: {path} is no CSV file of name,r,g,b: {error}") from None
    colours: dict[tuple[int, int, int], str] = {}
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and _is_header(cells)):
            continue
        if len(cells) < 4 or not all(map(_is_byte, cells[1:4])):
            got = shown_name(",".join(row))
            raise DataError(f"data.class_dict: line {number} of {path} must be name,r,g,b with 0 to 255, got '{got}'")
        colour = (int(cells[1]), int(cells[2]), int(cells[3]))
        if colour in colours:
            names = f"'{shown_name(colours[colour])}' and for '{shown_name(cells[0])}'"
            raise DataError(f"data.class_dict: {path} has {colour} for {names}")
        colours[colour] = cells[0]
    if not colours:
        raise DataError(f"data.class_dict: {path} names no colour; it needs lines of name,r,g,b")
    return colours


def _is_header(cells: list[str]) -> bool:
    return len(cells) >= 4 and all(cell[:1].isalpha() for cell in cells[1:4])


def _is_byte(text: str) -> bool:
    # the digits of other scripts and numbers of any length are digits to Python
    return re.fullmatch("[0-9]{1,3}", text) is not None and int(text) < 256
