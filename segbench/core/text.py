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


def harmless(text: str, instead: str = "?", keep: str = "") -> str:
    """Return text with `instead` in place of every character that cannot be printed, but for those in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else instead for sign in text)


def escaped(text: str) -> str:
    """Return text on one line that any encoding can write: what cannot be printed as its code, such as a line break."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


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


def say(console: Console, text: str, style: str = "") -> None:
    """Print a message: on a terminal with lines that break at words, elsewhere as it is."""
    text = wrapped(text, console.width) if console.is_terminal else text
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
