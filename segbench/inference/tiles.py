"""Large pictures piece by piece: tiles that overlap, joined smoothly, in memory that does not grow with the height.

Two neighbouring tiles share a strip of pixels. In its outer quarters only the tile counts whose edge is the farther,
since near its edge a network sees the least of the surroundings; between them the weight of one tile rises as a raised
cosine while the other's falls as much, so that weights add up to 1 everywhere. Where a quarter of the strip is at least
as wide as what a network sees around a pixel, the result is that of the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from segbench.core.errors import ConfigError

LEAST_TILE = 32
"""Pixels of the smallest tile."""

RAMP = 0.5
"""Share of the least overlap in which weights rise and fall; beside it, only the tile counts whose edge is farther."""


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles."""

    tile: int
    """Height and width of a tile in pixels; a side of the picture that is no longer is not cut."""

    overlap: float = 0.25
    """Least share of a tile that it has in common with the next, 0 to 0.5."""

    def __post_init__(self) -> None:
        if self.tile < LEAST_TILE:
            raise ConfigError(f"evaluate.tile must be at least {LEAST_TILE} pixels, got {self.tile}")
        if not 0 <= self.overlap <= 0.5:
            raise ConfigError(f"evaluate.overlap must be a share of a tile from 0 to 0.5, got {self.overlap}")

    def starts(self, length: int) -> list[int]:
        """Return where tiles begin along a side of so many pixels, spread evenly from edge to edge."""
        if length <= self.tile:
            return [0]
        room = length - self.tile
        step = max(1, math.floor(self.tile * (1 - self.overlap)))
        count = math.ceil(room / step)
        return [round(number * room / count) for number in range(count + 1)]


@dataclass(frozen=True)
class Block:
    """A finished rectangle of a picture; the blocks of a picture cover each pixel once."""

    top: int
    left: int
    values: Tensor
    """`[K,h,w]`."""


def blend(size: tuple[int, int], tiling: Tiling, values: Callable[[int, int, int, int], Tensor]) -> Iterator[Block]:
    """Yield a picture's values block by block, joined from those of its tiles.

    Kept in memory is the lower strip of a row of tiles alone.

    Args:
        size: Height and width of the picture.
        tiling: How it is cut.
        values: Returns float values `[K,h,w]` of the rectangle (top, left, height, width).
    """
    rows, columns = _Axis(size[0], tiling), _Axis(size[1], tiling)
    below: list[Tensor] = []
    for i in range(len(rows.starts)):
        above, below = below, []
        beside: Tensor | None = None
        for j in range(len(columns.starts)):
            found = values(rows.starts[i], columns.starts[j], rows.extent, columns.extent)
            found = found * rows.weights(i).to(found)[:, None] * columns.weights(j).to(found)
            if beside is not None:
                found[..., : beside.shape[-1]] += beside
            width, height = columns.step(j), rows.step(i)
            beside = found[..., width:].clone()
            done = found[..., :width]
            if above:
                done[:, : above[j].shape[1]] += above[j]
            below.append(done[:, height:].clone())
            yield Block(rows.starts[i], columns.starts[j], done[:, :height])


class _Axis:
    """The tiles along one side."""

    def __init__(self, length: int, tiling: Tiling) -> None:
        self.length, self.starts = length, tiling.starts(length)
        self.extent = min(length, tiling.tile)
        self.ramp = RAMP * tiling.overlap * tiling.tile

    def step(self, number: int) -> int:
        """Return the pixels from where a tile begins to where the next one does, or to the end."""
        following = self.starts[number + 1] if number + 1 < len(self.starts) else self.length
        return following - self.starts[number]

    def weights(self, number: int) -> Tensor:
        """Return the weight of each pixel of a tile, float32; over all tiles they add up to 1."""
        weights = torch.ones(self.extent)
        if number:
            weights *= self._rise((self.extent - self.step(number - 1)) / 2)
        if number + 1 < len(self.starts):
            weights *= 1 - self._rise((self.extent + self.step(number)) / 2)
        return weights

    def _rise(self, middle: float) -> Tensor:
        """Return weights that rise from 0 to 1 around the middle of a strip, given in pixels from the tile's begin."""
        place = torch.arange(self.extent) + 0.5 - middle
        if not self.ramp:
            return (place > 0).float()
        return 0.5 - 0.5 * torch.cos(math.pi * (place / self.ramp + 0.5).clamp(0, 1))
