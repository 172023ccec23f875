"""Text for a terminal: untrusted words, which may hold control characters, and durations."""

from __future__ import annotations


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
