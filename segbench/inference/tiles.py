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

from segbench.config.evaluation import EvaluationSettings
from segbench.data.loading.batches import Batch
from segbench.data.loading.views import Size
from segbench.data.windows import Window
from segbench.inference.forward import PICTURES, Heads, Network

RAMP = 0.5
"""Share of the least overlap in which weights rise and fall; beside it, only the tile counts whose edge is farther."""


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles."""

    tile: int
    """Height and width of a tile in pixels; a side of the picture that is no longer is not cut."""

    overlap: float = 0.25
    """Least share of a tile that it has in common with the next, 0 to 0.5."""

    @classmethod
    def of(cls, settings: EvaluationSettings, crop: Size) -> Tiling:
        """Return the tiling of a run's settings."""
        return cls(settings.tile_for(crop), settings.overlap)

    def starts(self, length: int) -> list[int]:
        """Return where tiles begin along a side of `length` pixels, spread evenly from edge to edge."""
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
    """Its first row."""

    left: int
    """Its first column."""

    values: Tensor
    """`[...,h,w]`."""


def blend(size: Size, tiling: Tiling, *, values: Callable[[Window], Tensor]) -> Iterator[Block]:
    """Yield a picture's values block by block, joined from those of its tiles.

    Kept in memory is the lower strip of a row of tiles alone.

    Args:
        size: Height and width of the picture.
        tiling: How it is cut.
        values: Returns float values `[...,h,w]` of a window.
    """
    rows = _Axis(size[0], tiling)
    columns = _Axis(size[1], tiling)
    below: list[Tensor] = []
    for i in range(len(rows.starts)):
        above = below
        below = []
        beside: Tensor | None = None
        for j in range(len(columns.starts)):
            found = values(Window(rows.starts[i], columns.starts[j], rows.extent, columns.extent))
            by_rows = rows.weights(i, found.device).to(found.dtype)
            by_columns = columns.weights(j, found.device).to(found.dtype)
            found = found * by_rows[:, None] * by_columns
            if beside is not None:
                found[..., : beside.shape[-1]].add_(beside)
            width = columns.step(j)
            height = rows.step(i)
            beside = found[..., width:].clone()
            done = found[..., :width]
            if above:
                done[..., : above[j].shape[-2], :].add_(above[j])
            below.append(done[..., height:, :].clone())
            yield Block(rows.starts[i], columns.starts[j], done[..., :height, :])


def blend_heads(size: Size, tiling: Tiling, *, say: Callable[[Window], Heads]) -> Iterator[tuple[int, int, Heads]]:
    """Yield (top, left, heads) of a picture block by block, where `say` returns the heads of a window."""
    channels: dict[str, int] = {}

    def values(window: Window) -> Tensor:
        heads = say(window)
        channels.update({head: found.shape[1] for head, found in heads.items()})
        return torch.cat([found.float() for found in heads.values()], dim=1)

    for block in blend(size, tiling, values=values):
        parts = torch.split(block.values, list(channels.values()), dim=1)
        yield block.top, block.left, dict(zip(channels, parts, strict=True))


def tiled(network: Network, tiling: Tiling) -> Network:
    """Return a network that is shown pictures larger than a tile piece by piece."""

    def said(batch: Batch) -> Heads:
        size = (batch["image"].shape[-2], batch["image"].shape[-1])
        if max(size) <= tiling.tile:
            return network(batch)
        heads: Heads = {}
        for top, left, parts in blend_heads(size, tiling, say=lambda window: network(window_of(batch, window))):
            for head, part in parts.items():
                whole = heads.setdefault(head, part.new_empty(*part.shape[:2], *size))
                height, width = part.shape[-2:]
                whole[..., top : top + height, left : left + width] = part
        return heads

    return said


def window_of(batch: Batch, window: Window) -> Batch:
    """Return a window of the pictures of a batch; what else is in it is left out."""
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    return {name: batch[name][..., rows, columns] for name in PICTURES if name in batch}


class _Axis:
    """The tiles along one side."""

    def __init__(self, length: int, tiling: Tiling) -> None:
        self.length = length
        self.starts = tiling.starts(length)
        self.extent = min(length, tiling.tile)
        self.ramp = RAMP * tiling.overlap * tiling.tile

    def step(self, number: int) -> int:
        """Return the pixels from where a tile begins to where the next one does, or to the end."""
        if number + 1 < len(self.starts):
            following = self.starts[number + 1]
        else:
            following = self.length
        return following - self.starts[number]

    def weights(self, number: int, device: torch.device) -> Tensor:
        """Return the weight of each pixel of a tile, float32; over all tiles they add up to 1."""
        weights = torch.ones(self.extent, device=device)
        if number:
            weights *= self._rise((self.extent - self.step(number - 1)) / 2, device)
        if number + 1 < len(self.starts):
            weights *= 1 - self._rise((self.extent + self.step(number)) / 2, device)
        return weights

    def _rise(self, middle: float, device: torch.device) -> Tensor:
        """Return weights that rise from 0 to 1 around the middle of a strip, given in pixels from the tile's begin."""
        place = torch.arange(self.extent, device=device) + 0.5 - middle
        if not self.ramp:
            return (place > 0).float()
        return 0.5 - 0.5 * torch.cos(math.pi * (place / self.ramp + 0.5).clamp(0, 1))
