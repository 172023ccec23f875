"""Short texts that still tell things apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

GAP = ".."
"""Stands where characters were left out."""
LONGEST_NUMBER = 9
"""Characters of a number that is shown as it is."""
LONGEST_TEXT = 60
"""Characters of any other setting."""
_FRACTION = re.compile(r"-?\d*\.\d+(e[-+]?\d+)?", re.ASCII)
"""A number of which digits may be left out; a whole one is a count, and is told in full."""


def setting_words(value: str) -> str:
    """Return a setting as sentences and tables name it: a number with six digits, a long text without its middle.

    A search draws rates such as `0.0005778009839797965`, of which the first digits tell all there is to tell.
    """
    if len(value) > LONGEST_NUMBER and _FRACTION.fullmatch(value):
        return f"{float(value):.6g}"
    return shorten(value, LONGEST_TEXT)


def shorten(text: str, most: int) -> str:
    """Return a text of at most `most` characters without its middle: what tells values apart is mostly at the end."""
    if len(text) <= most:
        return text
    end = (most - len(GAP)) * 2 // 3
    return f"{text[: most - len(GAP) - end]}{GAP}{text[len(text) - end :]}"


def shorten_apart(texts: Sequence[str], most: int) -> list[str]:
    """Return texts of at most `most` characters, different ones different as far as that goes.

    A long text loses its middle; where two would then be nearly the same, they begin where they differ.
    """
    alike: dict[str, list[str]] = {}
    for text in sorted(set(texts)):
        ends = shorten(text, max(5, most * 2 // 3))
        alike.setdefault(ends if len(text) > most else text, []).append(text)
    found = {}
    for same in alike.values():
        if len(same) == 1:
            found[same[0]] = shorten(same[0], most)
        else:
            found |= {text: _from_difference(text, same, most=most) for text in same}
    return [found[text] for text in texts]


def short_names(names: Sequence[str]) -> list[str]:
    """Return the last parts of dotted names, `lr` of `optimizer.lr`; the whole ones where two end alike."""
    ends = [name.rpartition(".")[2] for name in names]
    return [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)]


def _from_difference(text: str, others: Sequence[str], *, most: int) -> str:
    """Return a text from where it differs from the one most like it, as much as there is room for."""
    shared = max(_alike(text, other) for other in others if other != text)
    rest = text[shared:]
    if shared <= len(GAP):
        rest = text
    elif len(GAP) + len(rest) <= most:
        rest = GAP + text[len(text) - most + len(GAP) :]
    else:
        rest = GAP + rest
    if len(rest) <= most:
        return rest
    return rest[: most - len(GAP)] + GAP


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
