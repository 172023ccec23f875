"""Parts of tensors that fit into the cache of a CPU together with what is computed from them; on a GPU all at once."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

CACHED = 1 << 16
"""Numbers of such a part."""


def parts(maps: Tensor) -> Iterator[slice]:
    """Return slices of the first side, of so many maps as fit, at least one.

    Args:
        maps: `[N,...]`.
    """
    count = max(1, len(maps))
    if maps.device.type == "cpu" and maps.numel():
        count = max(1, CACHED // maps[0].numel())
    return (slice(start, start + count) for start in range(0, len(maps), count))
