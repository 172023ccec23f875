"""The networks of segmentation_models_pytorch: any of its architectures on any encoder of its own or of timm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.architectures import LEAST_FEATURES, MULTIPLES, check_architecture, like, make_parts
from segbench.models.base import ONE_LOGIT, Network, crop, pad_to_multiple
from segbench.models.encoders import Encoder
from segbench.models.pooled import spare_pooled
from segbench.models.rehearsal import unused_parameters
from segbench.models.sources import Source
from segbench.models.weights import read_state

log = logging.getLogger("segbench")


class SMP(Network):
    """An architecture of segmentation_models_pytorch on an encoder, with a last convolution for each head.

    Images whose sides are no multiples of the encoder's stride (its patch, for a vision transformer) are padded and
    cropped back.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        arch: unet, unetplusplus, manet, linknet, fpn, pspnet, pan, deeplabv3, deeplabv3plus, upernet, segformer or dpt
            of the library, or `linear`: a convolution of 1 x 1 on the normalised last features.
        encoder: A name of the library, or `tu-` and a name of timm. Plain vision transformers, such as those of DINOv2
            and DINOv3, go with dpt, upernet and linear.
        weights: None or `none`, or a local file with a state dict of the encoder; ImageNet's mean and standard
            deviation are then used, or those that timm declares for its encoder (0.5 for tf_efficientnet_lite0).
            What such a file has behind the last features, such as a classifier, may be absent or is ignored. In a
            configuration also a name, `imagenet` or another that the library has for the encoder.
        drop_path: Largest share of an encoder's residual branches that is left out in training; encoders of timm.
        **settings: Further arguments of the library's class, such as `decoder_channels`.
    """

    encoder_parts = ("encoder",)

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        arch: str = "unet",
        encoder: str = "resnet18",
        weights: str | None = None,
        drop_path: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__()
        if not 0 <= drop_path < 1:
            raise ConfigError(f"model.drop_path must be a share in [0, 1), got {drop_path}")
        known = Encoder.of(encoder)
        check_architecture(arch, known)
        parts = make_parts(arch, known, in_channels=in_channels, drop_path=drop_path, **settings)
        self.encoder = parts.encoder
        self.decoder = parts.decoder
        self.neck = parts.neck
        self.heads = nn.ModuleDict({name: like(parts.last, channels) for name, channels in heads.items()})
        spare_pooled(self)
        self.multiple = MULTIPLES.get(arch, 1) * known.stride if known.plain else parts.stride
        # one more pixel than the stride: batch normalisation needs two values even for a single picture
        self.min_size = max(LEAST_FEATURES.get(arch, 1) * self.multiple, known.stride) + 1
        for name in unused_parameters(self, (2, in_channels, 2 * self.min_size, 2 * self.min_size)):
            self.get_parameter(name).requires_grad_(False)
        if weights not in (None, "none"):
            self.load_weights(weights, known)

    @classmethod
    def weights_source(cls, name: str, settings: Mapping[str, object]) -> Source:
        """Return where weights of the encoder can be had: `imagenet`, or another name that the library has for it."""
        return Encoder.of(str(settings.get("encoder", "resnet18"))).source(name)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        padded = pad_to_multiple(image, self.multiple)
        found = self.encoder(padded)
        # a vision transformer gives its features and its prefix tokens
        decoded = self.neck(self.decoder(*found) if isinstance(found, tuple) else self.decoder(found))
        predictions = {name: head(decoded) for name, head in self.heads.items()}
        height, width = image.shape[-2:]
        whole = {name: _resized(value, padded) for name, value in predictions.items()}
        return crop(whole, height=height, width=width)

    def load_weights(self, weights: str, encoder: Encoder) -> None:
        """Load the encoder from a local file; raises ConfigError where it does not fit."""
        said = encoder.load(self.encoder, read_state(weights), where=f"model.weights={weights}")
        if said:
            log.info("  %s", said)
        self.mean, self.std = encoder.statistics()


def _resized(values: Tensor, like_image: Tensor) -> Tensor:
    """Return predictions at the image's size, by the library's own kind of upsampling."""
    if values.shape[-2:] == like_image.shape[-2:]:
        return values
    return F.interpolate(values, size=like_image.shape[-2:], mode="bilinear", align_corners=True)
