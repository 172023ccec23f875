"""Four unpadded convolutions around one halving, after vmadalasa/EVAConsolidated."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network, crop, upsample

BORDER = 8
"""Rows and columns that the unpadded convolutions eat on each side, in pixels of the image."""


class CustomNet(Network):
    """Two unpadded 3 x 3 convolutions at full size, and three at half of it.

    With its defaults, 6 input channels and one logit it has the original's 523,521 parameters. The original's output
    was smaller than its target; here the image is first surrounded by its own edge and the prediction is upsampled
    bilinearly, so that pixel (y, x) of one is pixel (y, x) of the other.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        width: Channels of the first convolution; the others have two, two and four times as many.
    """

    def __init__(self, in_channels: int = 3, heads: Mapping[str, int] = ONE_LOGIT, *, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"model.width must be at least 1, got {width}")
        self.fine = nn.Sequential(
            *_convolution(in_channels, width, bias=False), *_convolution(width, 2 * width), nn.MaxPool2d(2)
        )
        self.coarse = nn.Sequential(*_convolution(2 * width, 2 * width), *_convolution(2 * width, 4 * width))
        self.heads = nn.ModuleDict({name: nn.Conv2d(4 * width, outputs, 3) for name, outputs in heads.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        height, width = image.shape[-2:]
        around = (BORDER, BORDER + width % 2, BORDER, BORDER + height % 2)
        features = self.coarse(self.fine(F.pad(image, around, mode="replicate")))
        return crop({name: upsample(head(features)) for name, head in self.heads.items()}, height=height, width=width)


def _convolution(before: int, after: int, *, bias: bool = True) -> list[nn.Module]:
    # the count of the original fits only if all of its convolutions but the first have a bias
    return [nn.Conv2d(before, after, 3, bias=bias), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
