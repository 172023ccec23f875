"""Reading text files that describe a data set: regular files of bounded size, in UTF-8, with or without its mark."""

from __future__ import annotations

from pathlib import Path

from segbench.core import reading
from segbench.core.errors import DataError

MAX_TEXT = 64 << 20
"""Bytes of a list of pictures or of colours; a million lines have less."""


def read_text(path: Path, what: str, *, limit: int = MAX_TEXT) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        what: What the file is, or the setting that names it, for messages.
        limit: The largest size in bytes.

    Raises:
        DataError: if it is missing, too large, not UTF-8, or no regular file: a pipe would be waited for without end.
    """
    try:
        return reading.read_text(path, limit).removeprefix("\ufeff")
    except reading.UnreadableError as error:
        raise DataError(f"{what} {error}") from None
