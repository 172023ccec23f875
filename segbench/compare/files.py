"""Files of run folders that may be untrusted, read for a comparison: one that is unusable costs its run alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from segbench.core import reading
from segbench.core.plain import Plain

Content = TypeVar("Content")


class Unusable(Exception):
    """Something of a run folder cannot be used; the message says what and why, without the folder."""


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of a regular file, and of no link, of at most `limit` bytes; raises Unusable."""
    return _read(reading.read_bytes, path, limit=limit)


def read_text(path: Path, limit: int) -> str:
    """Return the same as text in UTF-8; raises Unusable."""
    return _read(reading.read_text, path, limit=limit)


def read_object(path: Path, limit: int) -> Plain:
    """Return the JSON object in a file of at most `limit` bytes; raises Unusable."""
    return _read(reading.read_json, path, limit=limit)


def _read(read: Callable[..., Content], path: Path, *, limit: int) -> Content:
    try:
        return read(path, limit, follow_links=False)
    except reading.UnreadableError as error:
        raise Unusable(f"{path.name} {error.reason}") from None


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else that JSON can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        finite = float(value)
    except OverflowError:
        return None
    if finite - finite == 0:
        return finite
    return None
