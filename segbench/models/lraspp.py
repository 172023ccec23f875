"""The mobile network of torchvision: LR-ASPP on MobileNetV3."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large

from segbench.models.base import ONE_LOGIT, Network
from segbench.models.pooled import spare_pooled
from segbench.models.sources import Source
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD, load_fitting, read_state, without


class LRASPP(Network):
    """Lite reduced atrous pyramid pooling on MobileNetV3-Large (Howard et al., 2019), of torchvision's parts.

    Features at 1/16 of the size say what there is, those at 1/8 where. Parameter names are torchvision's, except that
    the two last 1 x 1 convolutions have channels of every head of the task, one after the other.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        weights: None or `none`, or a local file: a state dict of torchvision's network, or of its MobileNetV3-Large
            alone. Last convolutions for another number of classes stay new. ImageNet's mean and standard deviation
            are then used.
    """

    encoder_parts = ("backbone",)
    min_size = 17  # features at 1/16 of the size: batch normalisation needs two values even for a single picture

    def __init__(
        self, in_channels: int = 3, heads: Mapping[str, int] = ONE_LOGIT, *, weights: str | None = None
    ) -> None:
        super().__init__()
        self.outputs = dict(heads)
        network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=sum(heads.values()))
        self.backbone = network.backbone
        self.classifier = network.classifier
        spare_pooled(self.classifier)
        if in_channels != 3:
            take_channels(self.backbone["0"], in_channels)
        if weights not in (None, "none"):
            self.load_weights(weights)

    @classmethod
    def weights_source(cls, name: str, settings: Mapping[str, object]) -> Source:
        """Return where `torchvision`'s weights (COCO) or `imagenet`'s (of MobileNetV3 alone) can be had."""
        known = {
            "torchvision": LRASPP_MobileNet_V3_Large_Weights.DEFAULT.url,
            "imagenet": MobileNet_V3_Large_Weights.DEFAULT.url,
        }
        return Source(known.get(name))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        logits = self.classifier(self.backbone(image))
        logits = F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return dict(zip(self.outputs, torch.split(logits, list(self.outputs.values()), dim=1), strict=True))

    def load_weights(self, weights: str) -> None:
        """Load a local file; raises ConfigError where it does not fit."""
        state = read_state(weights)
        new: tuple[str, ...] = ("classifier.low_classifier.", "classifier.high_classifier.")
        if "features.0.0.weight" in state:
            behind = tuple(name for name in state if not name.startswith("features."))
            features = without(state, behind)
            state = {name.replace("features.", "backbone.", 1): value for name, value in features.items()}
            new = ("classifier.",)
        load_fitting(self, state, where=f"model.weights={weights}", what="model=torchvision_lraspp", new=new)
        self.mean = IMAGENET_MEAN
        self.std = IMAGENET_STD


def take_channels(stem: nn.Module, in_channels: int) -> None:
    """Replace the first convolution of a stem by a new one of other input channels."""
    first = stem.get_submodule("0")
    assert isinstance(first, nn.Conv2d)
    new = nn.Conv2d(in_channels, first.out_channels, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(new.weight, mode="fan_out")
    stem.add_module("0", new)
