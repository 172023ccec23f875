"""Decoders of this project's own for features of any encoder, a plain vision transformer among them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

Features = Sequence[Tensor]


class Last(nn.Module):
    """The last features alone, normalised over the batch: what a linear classifier of pixels is given.

    As DINOv2 is evaluated (Oquab et al., 2023). It says how good features are, and trains in minutes.

    Args:
        channels: Of the last features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Features, prefix: Features | None = None) -> Tensor:
        """Return `[B, channels, h, w]` of features from the finest to the coarsest; prefix tokens are not used."""
        last: Tensor = self.norm(features[-1])
        return last


class Pyramid(nn.Module):
    """Four features of one size brought to four sizes, twice and four times as fine, as they are, and half as fine.

    As in BEiT (Bao et al., 2022) for UPerNet, here for features of any stride.

    Args:
        channels: Of each of the four features.
        decoder: Maps features from the finest to the coarsest, the picture and half of it first, to `[B, C, h, w]`.
    """

    def __init__(self, channels: Sequence[int], decoder: nn.Module) -> None:
        super().__init__()
        first, second, *_ = channels
        self.finest = nn.Sequential(_double(first), nn.BatchNorm2d(first), nn.GELU(), _double(first))
        self.finer = _double(second)
        self.decoder = decoder

    def forward(self, features: Features, prefix: Features | None = None) -> Tensor:
        """Return what the decoder makes of `[B, channels, h, w]` features, the first block's first."""
        first, second, third, fourth = features
        coarse = F.max_pool2d(fourth, 2, ceil_mode=True)
        # smp's decoder begins at a quarter of the size and looks at no finer features
        unused = first.new_empty(0)
        found: Tensor = self.decoder([unused, unused, self.finest(first), self.finer(second), third, coarse])
        return found


def _double(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2)
