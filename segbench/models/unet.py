"""U-Net with padded convolutions, for any height and width."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Heads, Network, crop, pad_to_multiple, upsample

MAX_DEPTH = 8
"""Channels double at each halving: at a depth of 8 and a width of 16 the network has half a billion parameters."""


class UNet(Network):
    """An encoder that halves the picture `depth` times, and a decoder that joins each size again (Ronneberger, 2015).

    Two 3 x 3 convolutions with batch normalisation and ReLU at each size; padding keeps every size, so that predictions
    lie on the pixels of the image. Images whose sides are no multiples of 2 ** depth are padded and cropped back.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        width: Channels at full size; doubled at each halving.
        depth: How often the picture is halved.
        transposed: Upsample with learned transposed convolutions instead of bilinearly.
        dropout: Share of the channels dropped at the smallest size, in training.
        bias: Convolutions with a bias of their own, beside that of the normalisation after them.
        lean: The smallest size has no more channels than the one above it, and the decoder halves its channels one size
            earlier: about half of the parameters, for bilinear upsampling only.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        width: int = 16,
        depth: int = 4,
        transposed: bool = False,
        dropout: float = 0.0,
        bias: bool = False,
        lean: bool = False,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                f"model.width and model.depth must be at least 1 and model.dropout in [0, 1), got {width}, {depth} and"
                f" {dropout}"
            )
        if depth > MAX_DEPTH:
            raise ConfigError(f"model.depth must be at most {MAX_DEPTH}, got {depth}")
        if lean and transposed:
            raise ConfigError("model.lean=true keeps channels while upsampling, so it needs model.transposed=false")
        self.multiple = 2**depth
        self.min_size = self.multiple
        sizes = [width * 2**level for level in range(depth + 1)]
        if lean:
            sizes[-1] = sizes[-2]
        self.encoder = nn.ModuleList(
            double_convolution(before, after, bias=bias)
            for before, after in zip([in_channels, *sizes], sizes, strict=False)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.upsamplers = nn.ModuleList()
        self.decoder = nn.ModuleList()
        below = sizes[-1]
        for level in reversed(range(depth)):
            self.upsamplers.append(nn.ConvTranspose2d(below, sizes[level], 2, stride=2) if transposed else Upsample())
            joined = (sizes[level] if transposed else below) + sizes[level]
            after = sizes[max(0, level - 1)] if lean else sizes[level]
            self.decoder.append(double_convolution(joined, after, middle=joined // 2 if lean else after, bias=bias))
            below = after
        self.heads = Heads(width, heads)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        height, width = image.shape[-2:]
        features = pad_to_multiple(image, self.multiple)
        skipped = []
        for level, block in enumerate(self.encoder):
            features = block(F.max_pool2d(features, 2) if level else features)
            skipped.append(features)
        features = self.dropout(skipped.pop())
        for bigger, block in zip(self.upsamplers, self.decoder, strict=True):
            features = block(torch.cat([bigger(features), skipped.pop()], dim=1))
        return crop(self.heads(features), height=height, width=width)


class Upsample(nn.Module):
    """Doubles height and width bilinearly."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features `[B, C, 2H, 2W]` of features `[B, C, H, W]`."""
        return upsample(features)


def double_convolution(before: int, after: int, *, middle: int | None = None, bias: bool = False) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each with batch normalisation and ReLU; `middle` channels lie between them.

    Without `bias`, since the normalisation right after a convolution takes its bias away.
    """
    if middle is None:
        middle = after
    layers: list[nn.Module] = []
    for channels, outputs in ((before, middle), (middle, after)):
        convolution = nn.Conv2d(channels, outputs, 3, padding=1, bias=bias)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
