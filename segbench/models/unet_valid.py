"""A U-Net without padding in its decoder, after vmadalasa/EVAConsolidated, its output put where it belongs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network, crop

DEPTH = 4
BORDER = 63
"""Rows and columns that the unpadded convolutions eat on each side, in pixels of the image."""


class UNetValid(Network):
    """Padded encoder, unpadded bottleneck and decoder, skips cut to the middle, transposed convolutions.

    With its defaults, 6 input channels and one logit it has the original's 34,520,514 parameters. The original was
    compared with a target of another size and place; here the image is first surrounded by its own edge, so that the
    prediction covers it and pixel (y, x) of one is pixel (y, x) of the other. The original also ended in ReLU, which
    allowed no probability below one half; its batch normalisation of the output stays, the ReLU is gone.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        width: Channels at full size; doubled at each halving.
    """

    def __init__(self, in_channels: int = 3, heads: Mapping[str, int] = ONE_LOGIT, *, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"model.width must be at least 1, got {width}")
        sizes = [width * 2**level for level in range(DEPTH + 1)]
        self.encoder = nn.ModuleList(
            _double(before, after, padding=1) for before, after in zip([in_channels, *sizes], sizes[:-1], strict=False)
        )
        self.bottleneck = _double(sizes[-2], sizes[-1])
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(2 * size, size, 3, stride=2, padding=1, output_padding=1, bias=False)
            for size in sizes[-2::-1]
        )
        self.decoder = nn.ModuleList(_double(2 * size, size) for size in sizes[-2::-1])
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Conv2d(width, outputs, 3, bias=False), nn.BatchNorm2d(outputs))
                for name, outputs in heads.items()
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        height, width = image.shape[-2:]
        down, right = (BORDER + -(side + 2 * BORDER) % 2**DEPTH for side in (height, width))
        features = F.pad(image, (BORDER, right, BORDER, down), mode="replicate")
        skipped = []
        for block in self.encoder:
            features = block(features)
            skipped.append(features)
            features = F.max_pool2d(features, 2)
        features = self.bottleneck(features)
        for upsample, block in zip(self.upsamplers, self.decoder, strict=True):
            features = upsample(features)
            features = block(torch.cat([features, _middle(skipped.pop(), features)], dim=1))
        return crop({name: head(features) for name, head in self.heads.items()}, height=height, width=width)


def _middle(skip: Tensor, like: Tensor) -> Tensor:
    top = (skip.shape[-2] - like.shape[-2]) // 2
    left = (skip.shape[-1] - like.shape[-1]) // 2
    return skip[..., top : top + like.shape[-2], left : left + like.shape[-1]]


def _double(before: int, after: int, *, padding: int = 0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        convolution = nn.Conv2d(channels, after, 3, padding=padding, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
