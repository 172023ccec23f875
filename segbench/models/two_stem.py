"""A network with a stem for the scene and one for its bare background, after vmadalasa/EVAConsolidated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network


class TwoStem(Network):
    """Two stems side by side, joined, then three 3 x 3 convolutions; all at full resolution.

    With its defaults and one logit it is the original network of 386,816 parameters.

    Args:
        in_channels: Those of the image, then as many of the background.
        heads: Channels of each prediction.
        width: Channels of each stem; the convolutions behind have one, two and four times as many.
    """

    pictures = 2

    def __init__(self, in_channels: int = 6, heads: Mapping[str, int] = ONE_LOGIT, *, width: int = 64) -> None:
        super().__init__()
        if in_channels % 2:
            raise ConfigError("model=two_stem looks at scene and background; it needs inputs=image+background")
        if width < 2:
            raise ConfigError(f"model.width must be at least 2, got {width}")
        self.each = in_channels // 2
        self.image_stem = _stem(self.each, width)
        self.background_stem = _stem(self.each, width)
        self.joined = nn.Sequential(
            *_convolution(2 * width, width, kernel=1),
            *_convolution(width, 2 * width),
            *_convolution(2 * width, 4 * width),
        )
        self.heads = nn.ModuleDict(
            {name: nn.Conv2d(4 * width, outputs, 3, padding=1, bias=False) for name, outputs in heads.items()}
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for scene and background `[B, in_channels, H, W]`."""
        stems = self.image_stem(image[:, : self.each]), self.background_stem(image[:, self.each :])
        features = self.joined(torch.cat(stems, dim=1))
        return {name: head(features) for name, head in self.heads.items()}


def _stem(channels: int, width: int) -> nn.Sequential:
    half = width // 2
    separable = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
    return nn.Sequential(*_convolution(channels, half), separable, *_convolution(half, width, kernel=1))


def _convolution(before: int, after: int, *, kernel: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
