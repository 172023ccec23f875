"""FCN and DeepLabv3 on a ResNet, of torchvision's parts, with pretrained weights and freezing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models import segmentation
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from segbench.core.choices import check_word
from segbench.core.errors import ConfigError
from segbench.models.base import AUXILIARY, ONE_LOGIT, Heads, Network
from segbench.models.pooled import spare_pooled
from segbench.models.sources import Source
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD, load_fitting, read_state, without

IMAGENET = {
    "resnet18": models.ResNet18_Weights.DEFAULT,
    "resnet34": models.ResNet34_Weights.DEFAULT,
    "resnet50": models.ResNet50_Weights.DEFAULT,
    "resnet101": models.ResNet101_Weights.DEFAULT,
}
"""What `weights=imagenet` means for an encoder."""

PRETRAINED = {
    ("resnet18", "fcn"): models.ResNet18_Weights.DEFAULT,
    ("resnet18", "deeplabv3"): models.ResNet18_Weights.DEFAULT,
    ("resnet34", "fcn"): models.ResNet34_Weights.DEFAULT,
    ("resnet34", "deeplabv3"): models.ResNet34_Weights.DEFAULT,
    ("resnet50", "fcn"): segmentation.FCN_ResNet50_Weights.DEFAULT,
    ("resnet50", "deeplabv3"): segmentation.DeepLabV3_ResNet50_Weights.DEFAULT,
    ("resnet101", "fcn"): segmentation.FCN_ResNet101_Weights.DEFAULT,
    ("resnet101", "deeplabv3"): segmentation.DeepLabV3_ResNet101_Weights.DEFAULT,
}
"""What `weights=torchvision` means for an encoder and a head: COCO with VOC's classes, or else ImageNet."""

ENCODERS = tuple(dict.fromkeys(encoder for encoder, _ in PRETRAINED))
HEADS = {"fcn": FCNHead, "deeplabv3": DeepLabHead}
FROZEN = {"backbone": ("backbone",), "all_but_head": ("backbone", "classifier")}


class FCNResNet(Network):
    """A ResNet whose last features a small convolutional head classifies, upsampled bilinearly to the image's size.

    Long et al. (2015), Chen et al. (2017, DeepLabv3). resnet50 and resnet101 replace their last two strides by dilation
    (features at 1/8 of the size); resnet18 and resnet34 have blocks without dilation and stay at 1/32, which is coarse.
    Parameter names are torchvision's, except that the last 1 x 1 convolution is one for each head of the task.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        encoder: One of `ENCODERS`.
        head: `fcn` (one 3 x 3 convolution) or `deeplabv3` (atrous pyramid pooling).
        weights: None or `none`, or a local file, see `load_weights`. In a configuration also a name: `torchvision` for
            what torchvision has for the whole network, COCO with VOC's classes or else ImageNet, `imagenet` for the
            ResNet alone.
        freeze: None or `none`, `backbone`, or `all_but_head`: only the last 1 x 1 convolutions learn. Frozen parts
            also stay in evaluation mode: their batch normalisation keeps its statistics.
        auxiliary: Weight of the loss of a second, smaller head on the features of the third stage, in training alone
            (Zhao et al., 2017, use 0.4); 0: no such head.
    """

    encoder_parts = ("backbone",)

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        encoder: str = "resnet50",
        head: str = "fcn",
        weights: str | None = None,
        freeze: str | None = None,
        auxiliary: float = 0.0,
    ) -> None:
        super().__init__()
        if auxiliary < 0:
            raise ConfigError(f"model.auxiliary must be at least 0, got {auxiliary}")
        weights, freeze = (None if value == "none" else value for value in (weights, freeze))
        check_word("model.encoder", encoder, valid=ENCODERS)
        check_word("model.head", head, valid=HEADS)
        if freeze is not None:
            check_word("model.freeze", freeze, valid=FROZEN)
        dilated = encoder in ("resnet50", "resnet101")
        # one more pixel than the stride: batch normalisation needs two values even for a single picture
        self.min_size = 9 if dilated else 33
        self.backbone, channels = make_backbone(encoder, in_channels, dilated=dilated)
        *layers, last = HEADS[head](channels, 1).children()
        self.classifier = nn.Sequential(*layers)
        spare_pooled(self.classifier)
        self.heads = Heads(last.in_channels, heads)
        self.auxiliary_weight = auxiliary
        self.auxiliary = AuxiliaryHead(channels // 2, heads) if auxiliary else None
        self.frozen = FROZEN[freeze] if freeze is not None else ()
        if weights is not None:
            self.load_weights(weights, encoder, head=head)
        for part in self.frozen:
            self.get_submodule(part).requires_grad_(False)
        self.train()

    @classmethod
    def weights_source(cls, name: str, settings: Mapping[str, object]) -> Source:
        """Return where `torchvision`'s or `imagenet`'s weights can be had."""
        encoder = str(settings.get("encoder", "resnet50"))
        head = str(settings.get("head", "fcn"))
        check_word("model.encoder", encoder, valid=ENCODERS)
        check_word("model.head", head, valid=HEADS)
        if name == "imagenet":
            return Source(IMAGENET[encoder].url)
        if name == "torchvision":
            return Source(PRETRAINED[encoder, head].url)
        return Source()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = image
        predictions: dict[str, Tensor] = {}
        for name, layer in self.backbone.named_children():
            features = layer(features)
            if name == "layer3" and self.training and self.auxiliary is not None:
                predictions = self.auxiliary(features)
        predictions |= self.heads(self.classifier(features))
        return {
            name: F.interpolate(value, size=image.shape[-2:], mode="bilinear", align_corners=False)
            for name, value in predictions.items()
        }

    def train(self, mode: bool = True) -> FCNResNet:
        """Switch to training, except for what is frozen."""
        super().train(mode)
        for part in self.frozen:
            self.get_submodule(part).eval()
        return self

    def load_weights(self, weights: str, encoder: str, *, head: str) -> None:
        """Load a file, and take over ImageNet's mean and standard deviation.

        A file holds a state dict of torchvision's segmentation network (its auxiliary classifier is ignored), a plain
        ResNet (its `fc` is ignored, the head stays new) or this class. A last convolution for another number of
        classes stays new. Raises ConfigError for anything else that is missing, unknown or of another shape.
        """
        state = without(read_state(weights), ("aux_classifier.", "fc."))
        new: tuple[str, ...] = ("heads.", "auxiliary.")
        if "conv1.weight" in state:
            state = {f"backbone.{name}": value for name, value in state.items()}
            new = (*new, "classifier.")
        state = {name.replace("classifier.4.", "heads.mask."): value for name, value in state.items()}
        load_fitting(
            self, state, where=f"model.weights={weights}", what=f"model.encoder={encoder} model.head={head}", new=new
        )
        self.mean = IMAGENET_MEAN
        self.std = IMAGENET_STD


class AuxiliaryHead(nn.Module):
    """A small head on features in the middle of a network, whose predictions count in training alone.

    Args:
        channels: Of the features.
        heads: Channels of each prediction.
    """

    def __init__(self, channels: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        *layers, last = FCNHead(channels, 1).children()
        self.classifier = nn.Sequential(*layers)
        self.heads = Heads(last.in_channels, heads)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return the predictions as `auxiliary.mask` and the like, at the size of the features."""
        return {f"{AUXILIARY}{name}": value for name, value in self.heads(self.classifier(features)).items()}


def make_backbone(encoder: str, in_channels: int, *, dilated: bool) -> tuple[nn.Sequential, int]:
    """Return a new ResNet up to its fourth stage, with torchvision's names, and the channels of its output."""
    settings = {}
    if dilated:
        settings = {"replace_stride_with_dilation": [False, True, True]}
    resnet = getattr(models, encoder)(weights=None, **settings)
    if in_channels != 3:
        resnet.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
    stages = {name: layer for name, layer in resnet.named_children() if name not in ("avgpool", "fc")}
    return nn.Sequential(OrderedDict(stages)), resnet.fc.in_features
