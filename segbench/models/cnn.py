"""A plain stack of convolutions at full resolution, after RobRomijnders/segm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network


class CNN(Network):
    """Convolutions that keep the size, with dropout before ReLU on all but the last.

    With its defaults, 3 input channels and one logit it is the original network of 6,381 parameters; its receptive
    field is 17 pixels. The original left dropout on at the test; here it is off outside of training.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        channels: Channels of the hidden convolutions.
        kernel: Side of every kernel, odd.
        dropout: Share of the values dropped after each hidden convolution.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        channels: Sequence[int] = (10, 12, 8),
        kernel: int = 5,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or not 0 <= dropout < 1 or not channels or min(channels) < 1:
            raise ConfigError(
                f"model.kernel must be odd, model.dropout in [0, 1) and model.channels whole numbers of at least 1, got"
                f" {kernel}, {dropout} and {list(channels)}"
            )
        layers: list[nn.Module] = []
        for before, after in zip([in_channels, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.Dropout(dropout), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {name: nn.Conv2d(channels[-1], outputs, kernel, padding=kernel // 2) for name, outputs in heads.items()}
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = self.hidden(image)
        return {name: head(features) for name, head in self.heads.items()}
