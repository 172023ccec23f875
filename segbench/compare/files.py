"""Reading text of folders that may be anybody's: never waits, never follows a link, never reads without an end."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Unusable(Exception):
    """A file of a run folder that cannot be used; the message says which and why, without the folder."""


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; raises Unusable.

    A pipe is opened without waiting for its other end, and refused like a link or a device.
    """
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise Unusable(f"{path.name} is a link")
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise Unusable(f"{path.name} is missing") from None
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unusable(f"{path.name} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise Unusable(f"{path.name} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise Unusable(f"{path.name} is larger than {limit:,} bytes")
    return content


def read_text(path: Path, limit: int) -> str:
    """Return the same as text in UTF-8; raises Unusable."""
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError:
        raise Unusable(f"{path.name} is no UTF-8 text") from None


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """Return the JSON object in a file of at most `limit` bytes; raises Unusable."""
    try:
        value = json.loads(read_text(path, limit))
    except (ValueError, RecursionError):
        raise Unusable(f"{path.name} is no JSON") from None
    if not isinstance(value, dict):
        raise Unusable(f"{path.name} holds no JSON object")
    return value


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else that JSON can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        finite = float(value)
    except OverflowError:
        return None
    return finite if finite - finite == 0 else None
