"""Reading files that may be untrusted: a reader never waits for a pipe and never reads without an end."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from segbench.core.errors import ConfigError
from segbench.core.plain import Plain

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_PIECE = 1 << 20
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class UnreadableError(ConfigError):
    """A file cannot be read as what it should be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason
        """What follows the name of the file in a sentence, such as `is missing`."""


def read_bytes(path: Path, limit: int, *, follow_links: bool = True) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        UnreadableError: for anything else: a pipe is not opened, a device not read, a file that grows not followed.
    """
    try:
        status = path.stat(follow_symlinks=follow_links)
        if stat.S_ISLNK(status.st_mode):
            raise UnreadableError(path, "is a link, which is not followed")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(path, "is not a regular file, so it is not read")
        descriptor = os.open(path, _FLAGS if follow_links else _FLAGS | _NO_LINK)
        try:
            content = _content(path, descriptor, limit=limit)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise UnreadableError(path, "is missing") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > limit:
        raise UnreadableError(path, f"is larger than the {limit:,} bytes that such a file may have")
    return content


def _content(path: Path, descriptor: int, *, limit: int) -> bytes:
    """Return at most `limit` + 1 bytes of a file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # it was replaced in between
        raise UnreadableError(path, "is not a regular file, so it is not read")
    content = os.read(descriptor, min(status.st_size, limit) + 1)
    while content and len(content) <= limit and len(content) != status.st_size:  # /proc says that its files are empty
        more = os.read(descriptor, min(limit + 1 - len(content), _PIECE))
        if not more:
            break
        content += more
    return content


def read_text(path: Path, limit: int, *, follow_links: bool = True) -> str:
    """Return the same as text in UTF-8, line ends as they are; raises UnreadableError."""
    try:
        return read_bytes(path, limit, follow_links=follow_links).decode()
    except UnicodeDecodeError:
        raise UnreadableError(path, "is not text in UTF-8") from None


def read_json(path: Path, limit: int, *, follow_links: bool = True) -> Plain:
    """Return the JSON object in a file of at most `limit` bytes; raises UnreadableError."""
    text = read_text(path, limit, follow_links=follow_links)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(path, f"is not JSON (line {error.lineno})") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of levels
        raise UnreadableError(path, "is not JSON that can be read") from None
    if not isinstance(value, dict):
        raise UnreadableError(path, "must hold a JSON object, got something else")
    return value
