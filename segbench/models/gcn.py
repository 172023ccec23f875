"""Graph convolutions on the grid of pixels, after a fork of RobRomijnders/segm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.choices import check_word
from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network, is_tracing

OFFSETS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}
"""Steps in rows and columns to the neighbours of a pixel, one of each opposite pair."""


class GCN(Network):
    """Layers that average over the neighbours of each pixel and mix the channels (Kipf and Welling, 2017).

    A layer is `D^-1/2 A D^-1/2 X W + b`: X is the features of the pixels, A joins each to its neighbours (and, with
    `self_loops`, to itself) and D holds the number of each pixel's neighbours. All directions count alike, so flipping
    the image flips the prediction. With `features=intensity`, `channels=[8]`, `bias=false`, one picture and one logit
    it is the original network of 2,056 parameters; there the pixels of the image were scrambled against the mask.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        channels: Channels of the hidden layers.
        features: `rgb`, or `intensity`: each picture's grey value from 0 to 255, one-hot.
        positions: Also feed the row and the column of each pixel, from -1 to 1; only with `rgb`.
        neighbours: 4, or 8 with the diagonals.
        self_loops: A pixel sees itself.
        residual: Add its input to a hidden layer behind the first whose channels stay the same.
        bias: Learn an offset in each layer.
        implementation: `stencil` (convolution with a fixed kernel) or `sparse` (matrix): equal up to rounding.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        channels: Sequence[int] = (32,) * 8,
        features: str = "rgb",
        positions: bool = False,
        neighbours: int = 8,
        self_loops: bool = True,
        residual: bool = True,
        bias: bool = True,
        implementation: str = "stencil",
    ) -> None:
        super().__init__()
        if neighbours not in OFFSETS or not channels or min(channels) < 1:
            raise ConfigError(
                f"model.neighbours must be 4 or 8 and model.channels numbers of at least 1, got {neighbours} and"
                f" {list(channels)}"
            )
        check_word("model.features", features, valid=("rgb", "intensity"))
        check_word("model.implementation", implementation, valid=IMPLEMENTATIONS)
        if positions and features == "intensity":
            raise ConfigError("model.positions=true goes with model.features=rgb")
        if features == "intensity" and in_channels % 3:
            raise ConfigError(f"model.features=intensity needs 3 or 6 model.in_channels, got {in_channels}")
        if features == "intensity":
            self.bands = 3
            # one-hot needs the grey values themselves, so the image must come from 0 to 1, not normalised by the data
            self.mean = (0.0, 0.0, 0.0)
            self.std = (1.0, 1.0, 1.0)
        self.positions = positions
        self.residual = residual
        self.propagate = IMPLEMENTATIONS[implementation](neighbours, self_loops)
        self.hidden = nn.ModuleList(
            [
                Intensity(in_channels // 3, channels[0])
                if features == "intensity"
                else nn.Conv2d(in_channels + 2 * positions, channels[0], 1, bias=False),
                *(nn.Conv2d(*sizes, 1, bias=False) for sizes in pairwise(channels)),
            ]
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(after, 1, 1)) for after in channels) if bias else None
        self.heads = nn.ModuleDict({name: nn.Conv2d(channels[-1], size, 1, bias=bias) for name, size in heads.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = with_positions(image) if self.positions else image
        for number, mix in enumerate(self.hidden):
            new = self.propagate(mix(features))
            new = F.relu(new if self.biases is None else new + self.biases[number])
            features = new + features if self.residual and number and new.shape == features.shape else new
        features = self.propagate(features)
        return {name: head(features) for name, head in self.heads.items()}


class Intensity(nn.Module):
    """A 1 x 1 convolution of one-hot grey values, as a look-up: its 256 columns for each picture are the rows here."""

    def __init__(self, pictures: int, channels: int) -> None:
        super().__init__()
        self.columns = nn.ModuleList(nn.Embedding(256, channels) for _ in range(pictures))

    def forward(self, image: Tensor) -> Tensor:
        """Return `[B, channels, H, W]` for pictures `[B, 3 * pictures, H, W]` with values from 0 to 1."""
        batch, channels, height, width = image.shape
        grey = image.float().view(batch, channels // 3, 3, height, width).mean(dim=2)
        level = (grey * 255).round().long().clamp(0, 255)
        first, *others = [rows(level[:, picture]) for picture, rows in enumerate(self.columns)]
        total: Tensor = sum(others, first)
        return total.permute(0, 3, 1, 2)


class Stencil(nn.Module):
    """`D^-1/2 A D^-1/2 X` as a convolution with a 3 x 3 kernel of ones and zeros; outside of the image nothing is."""

    kernel: Tensor

    def __init__(self, neighbours: int, self_loops: bool) -> None:
        super().__init__()
        kernel = torch.zeros(1, 1, 3, 3)
        kernel[..., 1, 1] = float(self_loops)
        for row, column in OFFSETS[neighbours]:
            kernel[..., 1 + row, 1 + column] = kernel[..., 1 - row, 1 - column] = 1.0
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features `[B, C, H, W]`, averaged over neighbours."""
        ones = self.kernel.new_ones(1, 1, *features.shape[-2:])
        scale = F.conv2d(ones, self.kernel, padding=1).clamp(min=1).rsqrt().to(features.dtype)
        channels = int(features.shape[1])  # a number in a trace too, by which the kernel's shape is known
        kernel = self.kernel.to(features.dtype).expand(channels, -1, -1, -1)
        return F.conv2d(features * scale, kernel, padding=1, groups=channels) * scale


class Sparse(nn.Module):
    """`D^-1/2 A D^-1/2 X` as a sparse matrix with a row for each pixel; the matrix of the latest size is kept."""

    def __init__(self, neighbours: int, self_loops: bool) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.self_loops = self_loops
        self.latest: tuple[tuple[int, int, torch.device], Tensor] | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Return features `[B, C, H, W]`, averaged over neighbours, computed in float32."""
        if is_tracing():  # no other program has sparse matrices
            stencilled: Tensor = Stencil(self.neighbours, self.self_loops).to(features.device)(features)
            return stencilled
        batch, channels, height, width = features.shape
        matrix = self._matrix(height, width, device=features.device)
        with torch.autocast(features.device.type, enabled=False):
            pixels = features.float().permute(2, 3, 0, 1).reshape(height * width, batch * channels)
            averaged: Tensor = torch.sparse.mm(matrix, pixels)
        return averaged.view(height, width, batch, channels).permute(2, 3, 0, 1).to(features.dtype)

    def _matrix(self, height: int, width: int, *, device: torch.device) -> Tensor:
        key = (height, width, device)
        if self.latest is None or self.latest[0] != key:
            # it serves training as well, which cannot use what a validation in inference mode has made
            with torch.inference_mode(False):
                self.latest = (
                    key,
                    normalised_adjacency(height, width, neighbours=self.neighbours, self_loops=self.self_loops).to(
                        device
                    ),
                )
        return self.latest[1]


def normalised_adjacency(height: int, width: int, *, neighbours: int, self_loops: bool) -> Tensor:
    """Return the sparse `D^-1/2 A D^-1/2` of a grid, `[H * W, H * W]`, pixels counted row by row."""
    number = torch.arange(height * width).view(height, width)
    ends = []
    if self_loops:
        ends = [(number.flatten(), number.flatten())]
    for row, column in OFFSETS[neighbours]:
        left = max(0, -column)
        right = max(0, column)
        here = number[: height - row, left : width - right].flatten()
        there = number[row:, right : width - left].flatten()
        ends += [(here, there), (there, here)]
    rows, columns = (torch.cat(side) for side in zip(*ends, strict=True))
    scale = torch.bincount(rows, minlength=height * width).clamp(min=1).float().rsqrt()
    entries = torch.stack([rows, columns])
    pixels = height * width
    weights = scale[rows] * scale[columns]
    return torch.sparse_coo_tensor(entries, weights, (pixels, pixels), check_invariants=True).coalesce()


def with_positions(image: Tensor) -> Tensor:
    """Return the image with each pixel's row and column, from -1 to 1, as two channels more."""
    height, width = image.shape[-2:]
    rows = torch.linspace(-1, 1, height, device=image.device, dtype=image.dtype).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=image.device, dtype=image.dtype).view(1, 1, 1, -1)
    return torch.cat([image, *(place.expand(image.shape[0], 1, height, width) for place in (rows, columns))], dim=1)


IMPLEMENTATIONS = {"stencil": Stencil, "sparse": Sparse}
