"""Words of strangers on a terminal, which would obey the control characters in them."""

from __future__ import annotations


def harmless(text: str, instead: str = "?", keep: str = "") -> str:
    """Return text with `instead` in place of every character that cannot be printed, but for those in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else instead for sign in text)
