"""A small fully convolutional network at full resolution, after gnouhp/Synthetic-Segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import ONE_LOGIT, Network


class FCN(Network):
    """Convolutions without any down-sampling, each followed by LeakyReLU and a 5 x 5 average.

    With its defaults, 3 input channels and 5 classes it is the original network of 6,405 parameters. There the
    activation and the average were applied to the logits as well; `blur_logits` leaves that out.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        channels: Channels of the hidden convolutions.
        kernels: Kernel sizes of the hidden convolutions and of the last one, all odd.
        blur_logits: Also apply activation and average to the predictions, as the original did.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        channels: Sequence[int] = (8, 16),
        kernels: Sequence[int] = (7, 5, 5),
        blur_logits: bool = False,
    ) -> None:
        super().__init__()
        if len(kernels) != len(channels) + 1 or any(kernel % 2 == 0 for kernel in kernels):
            raise ConfigError(
                f"model.kernels must be {len(channels) + 1} odd numbers (one more than model.channels), got"
                f" {list(kernels)}"
            )
        layers: list[nn.Module] = []
        for before, after, kernel in zip([in_channels, *channels], channels, kernels, strict=False):
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), *_activation()]
        self.hidden = nn.Sequential(*layers)
        last = kernels[-1]
        before = channels[-1] if channels else in_channels
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Conv2d(before, outputs, last, padding=last // 2), *(_activation() if blur_logits else [])
                )
                for name, outputs in heads.items()
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = self.hidden(image)
        return {name: head(features) for name, head in self.heads.items()}


def _activation() -> list[nn.Module]:
    return [nn.LeakyReLU(0.01), nn.AvgPool2d(5, stride=1, padding=2)]
