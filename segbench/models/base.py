"""What every network is: a float image to a dict of predictions at the image's own height and width."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.sources import Source

ONE_LOGIT: Mapping[str, int] = MappingProxyType({"mask": 1})
"""The heads of a mask of two classes, which is what the networks have where nothing else is asked for."""


AUXILIARY = "auxiliary."
"""What a network's further predictions in training begin with, such as `auxiliary.mask`; see `auxiliary_weight`."""


class Network(nn.Module):
    """Base of the project's networks.

    Subclasses take `in_channels` and `heads` (channels of each prediction by name) and return from `forward` a dict of
    tensors `[B, channels, H, W]` for an image `[B, in_channels, H, W]`, for any H and W of at least `min_size`.
    """

    min_size: int = 1
    """Least height and width of an image."""

    bands: int | None = None
    """Channels of each picture that the network needs; None for any number."""

    pictures: int = 0
    """Pictures that it needs side by side; 0 for any number."""

    encoder_parts: tuple[str, ...] = ()
    """Names of the submodules that make up the encoder, which pretrained weights are for and which can be frozen."""

    auxiliary_weight: float = 0.0
    """Weight of the loss of the further predictions that the network gives in training; 0 where it gives none."""

    mean: tuple[float, float, float] | None = None
    """Mean of red, green and blue that pretrained weights were trained with; None takes the data's."""

    std: tuple[float, float, float] | None = None
    """Standard deviation likewise."""

    @classmethod
    def weights_source(cls, name: str, settings: Mapping[str, object]) -> Source | None:
        """Return where pretrained weights of a name can be had; None: the class looks them up itself, if it has any.

        Args:
            name: What `model.weights` says, where it is no file.
            settings: The arguments of the constructor that are given.
        """
        return None

    def check_size(self, height: int, width: int) -> None:
        """Raise a ConfigError if an image of this size is too small for the network."""
        if min(height, width) < self.min_size:
            raise ConfigError(
                f"data.size={[height, width]} is too small for {type(self).__name__}: it needs at least"
                f" {self.min_size} x {self.min_size}"
            )

    def check_inputs(self, bands: int, pictures: int) -> None:
        """Raise a ConfigError for a network that needs another number of bands, or of pictures side by side."""
        if self.bands not in (None, bands):
            raise ConfigError(
                f"{type(self).__name__} with these settings needs {self.bands} bands a picture, not the {bands} of"
                " data.bands"
            )
        if self.pictures not in (0, pictures):
            raise ConfigError(f"{type(self).__name__} looks at scene and background; it needs inputs=image+background")


class Heads(nn.ModuleDict):
    """A 1 x 1 convolution for each head, from shared features."""

    def __init__(self, in_channels: int, heads: Mapping[str, int]) -> None:
        super().__init__({name: nn.Conv2d(in_channels, channels, 1) for name, channels in heads.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return the predictions by name for features `[B, in_channels, H, W]`."""
        return {name: head(features) for name, head in self.items()}


def is_tracing() -> bool:
    """Whether the network is being recorded as a graph, for an export."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]  # documented, but not in __all__


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Return the image with its last row and column repeated until height and width are multiples.

    Repeating the edge adds no false border, and unlike reflection its gradient is deterministic on a GPU.
    """
    height, width = image.shape[-2:]
    down = -height % multiple
    right = -width % multiple
    any_size = is_tracing()  # a trace is used for other sizes too, and would keep the branch of this one
    if any_size or down:
        image = torch.cat([image, image[..., -1:, :].expand(*image.shape[:-2], down, -1)], dim=-2)
    if any_size or right:
        image = torch.cat([image, image[..., -1:].expand(*image.shape[:-1], right)], dim=-1)
    return image


def crop(predictions: dict[str, Tensor], *, height: int, width: int) -> dict[str, Tensor]:
    """Return the predictions without what `pad_to_multiple` added."""
    return {name: value[..., :height, :width] for name, value in predictions.items()}


def upsample(features: Tensor, factor: int = 2) -> Tensor:
    """Return features upsampled bilinearly, each pixel keeping its place."""
    return F.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=False)
