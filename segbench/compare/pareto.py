"""Which groups nothing beats at their cost."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(quality: Sequence[float | None], cost: Sequence[float | None]) -> list[bool]:
    """Return for each point whether no other one is at least as good at no more cost, and better in one of the two.

    Args:
        quality: Larger is better; None is never on the front and beats nothing.
        cost: Smaller is better; None likewise.
    """
    known = [k for k, (q, c) in enumerate(zip(quality, cost, strict=True)) if q is not None and c is not None]
    front = [False] * len(quality)
    best = None
    for k in sorted(known, key=lambda k: (cost[k], -quality[k])):  # type: ignore[operator]
        if best is None or quality[k] > best[0] or (quality[k], cost[k]) == best:  # type: ignore[operator]
            front[k] = True
            best = (quality[k], cost[k])
    return front
