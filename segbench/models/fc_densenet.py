"""FC-DenseNet: dense blocks at every size of a U, the "one hundred layers tiramisu"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Heads, Network, crop, pad_to_multiple


class FCDenseNet(Network):
    """A U-shaped network of dense blocks, in which each layer sees all layers before it (Jégou et al., 2017).

    On the way down a block's input stays beside its new channels; on the way up only the new channels are upsampled, by
    a transposed convolution, and joined with what lay at that size before. Images whose sides are no multiples of
    2 ** (number of blocks) are padded and cropped back.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        layers: Layers of each block on the way down; the way up has the same in reverse.
        bottleneck: Layers of the block at the smallest size.
        growth: Channels that each layer adds.
        width: Channels of the first convolution.
        dropout: Share of the values dropped after each convolution of a block, in training.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        layers: Sequence[int] = (4, 4, 4, 4, 4),
        bottleneck: int = 4,
        growth: int = 12,
        width: int = 48,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not layers or min(*layers, bottleneck, growth, width) < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "model.layers, bottleneck, growth and width must be at least 1 and model.dropout in [0, 1), got"
                f" {list(layers)}, {bottleneck}, {growth}, {width} and {dropout}"
            )
        self.multiple = 2 ** len(layers)
        # batch normalisation at the smallest size needs two values even for a single picture
        self.min_size = self.multiple + 1
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        self.shrinkers = nn.ModuleList()
        skips = []
        for count in layers:
            self.down.append(DenseBlock(width, growth, layers=count, dropout=dropout))
            width += count * growth
            skips.append(width)
            self.shrinkers.append(nn.Sequential(*_layer(width, width, kernel=1, dropout=dropout), nn.MaxPool2d(2)))
        self.bottleneck = DenseBlock(width, growth, layers=bottleneck, dropout=dropout)
        self.upsamplers = nn.ModuleList()
        self.up = nn.ModuleList()
        new = bottleneck * growth
        for count, skip in zip(reversed(layers), reversed(skips), strict=True):
            self.upsamplers.append(nn.ConvTranspose2d(new, new, 3, stride=2, padding=1, output_padding=1))
            self.up.append(DenseBlock(new + skip, growth, layers=count, dropout=dropout))
            width = new + skip + count * growth
            new = count * growth
        self.apply(_initialise)
        self.heads = Heads(width, heads)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = self.stem(pad_to_multiple(image, self.multiple))
        skipped = []
        for block, shrink in zip(self.down, self.shrinkers, strict=True):
            features = torch.cat([features, block(features)], dim=1)
            skipped.append(features)
            features = shrink(features)
        new = self.bottleneck(features)
        for upsample, block in zip(self.upsamplers, self.up, strict=True):
            features = torch.cat([upsample(new), skipped.pop()], dim=1)
            new = block(features)
        height, width = image.shape[-2:]
        return crop(self.heads(torch.cat([features, new], dim=1)), height=height, width=width)


class DenseBlock(nn.Module):
    """Layers of batch normalisation, ReLU, 3 x 3 convolution and dropout, each on the channels of all before it."""

    def __init__(self, channels: int, growth: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(*_layer(channels + number * growth, growth, kernel=3, dropout=dropout))
            for number in range(layers)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the new channels alone, `[B, layers * growth, H, W]`."""
        seen = [features]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, dim=1)))
        return torch.cat(seen[1:], dim=1)


def _layer(before: int, after: int, *, kernel: int, dropout: float) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    return [nn.BatchNorm2d(before), nn.ReLU(inplace=True), convolution, nn.Dropout(dropout)]


def _initialise(module: nn.Module) -> None:
    """He et al. (2015), uniform, as in the paper."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
