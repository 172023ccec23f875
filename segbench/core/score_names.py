"""Names of scores: `test/iou/road` is at the own size of pictures, `test/iou/road_at_input` at that of the network."""

from __future__ import annotations

AT_INPUT = "_at_input"
"""What names end in of scores at the size that the network sees: they are others than those at the pictures' own."""


def without_size(name: str) -> str:
    """Return the name of the same score without the size that it was taken at."""
    return name.removesuffix(AT_INPUT)


def at_both_sizes(*names: str) -> tuple[str, ...]:
    """Return each name, followed by that of the same score at the network's input."""
    return tuple(one for name in names for one in (name, f"{name}{AT_INPUT}"))
