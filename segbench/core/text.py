"""Text for a terminal: untrusted words, which may hold control characters, and durations."""

from __future__ import annotations

import os
import textwrap
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

NARROWEST = 20
"""Columns of a terminal below which lines are not made shorter."""
USUAL = 80
"""Columns of a terminal that does not say how many it has."""


def printable(text: str, longest: int | None = None, *, keep: str = "") -> str:
    r"""Return untrusted text as a terminal, a page or a table may show it, in any encoding.

    Args:
        text: It may hold control characters, line breaks, marks that turn the direction of writing, and bytes of a
            file's name that are no UTF-8: they become `\x1b`, `\n`, `\u202e`, `\xff`.
        longest: How many characters of it are shown at most; None for all.
        keep: Characters that stay as they are, such as line breaks.
    """
    if longest is None or len(text) <= longest:
        short = text
    else:
        short = text[: longest - 3] + "..."
    if short.isprintable():  # nearly every text
        return short
    return "".join(sign if sign.isprintable() or sign in keep else _escaped(sign) for sign in short)


def _escaped(sign: str) -> str:
    if 0xDC80 <= ord(sign) <= 0xDCFF:  # how Python holds a byte of a file's name that is no UTF-8
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode()


def and_more(count: int, most: int) -> str:
    """Return ` and 3 more` where a list of `count` entries names the first `most` alone, else nothing."""
    if count <= most:
        return ""
    return f" and {count - most:,} more"


def duration(seconds: float) -> str:
    """Return seconds as `45 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def wrapped(text: str, width: int) -> str:
    """Return text in lines of at most `width` characters that break at spaces; a longer word is kept."""
    return "\n".join(
        textwrap.fill(
            line, max(width, NARROWEST), break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
        )
        for line in text.split("\n")
    )


def for_stream(text: str, stream: IO[str]) -> str:
    """Return a message as it is written to a stream: broken into lines for a terminal, else one line for a program."""
    if not stream.isatty():
        return text
    try:
        return wrapped(text, os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return wrapped(text, USUAL)


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print a message: on a terminal with lines that break at words, elsewhere as it is."""
    if console.is_terminal:
        text = wrapped(text, console.width)
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
