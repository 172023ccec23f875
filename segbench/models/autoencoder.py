"""A convolutional autoencoder without shortcuts, after frank-roesler/Image_Segmentation."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Heads, Network, crop, pad_to_multiple


class AutoEncoder(Network):
    """Four strided convolutions down to a sixteenth of the size and four transposed ones up, no shortcuts.

    With its defaults, 3 input channels and one logit it is the original network of 87,969 parameters. Its last sigmoid
    belongs to the loss here. Images whose sides are no multiples of 16 are padded and cropped back.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        width: Channels after the first convolution, doubled by each further one.
    """

    min_size = 16

    def __init__(self, in_channels: int = 3, heads: Mapping[str, int] = ONE_LOGIT, *, width: int = 8) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"model.width must be at least 1, got {width}")
        sizes = [width * 2**level for level in range(4)]
        layers: list[nn.Module] = []
        for before, after in zip([in_channels, *sizes], sizes, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        for before, after in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.hidden = nn.Sequential(*layers, nn.ConvTranspose2d(width, width, 4, stride=2, padding=1), nn.ReLU())
        self.heads = Heads(width, heads)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        height, width = image.shape[-2:]
        return crop(self.heads(self.hidden(pad_to_multiple(image, 16))), height=height, width=width)
