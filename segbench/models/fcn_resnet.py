"""FCN and DeepLabv3 on a ResNet, of torchvision's parts, with pretrained weights and freezing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models import segmentation
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from segbench.core.errors import ConfigError, nearest
from segbench.models.base import ONE_LOGIT, Heads, Network

Colour = tuple[float, float, float]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue, from 0 to 1, that torchvision's and timm's usual weights were trained with."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation likewise."""

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
        weights: None or `none`, `torchvision` (a download) or a local file: see `load_weights`.
        freeze: None or `none`, `backbone`, or `all_but_head`: only the last 1 x 1 convolutions learn. Frozen parts
            also stay in evaluation mode: their batch normalisation keeps its statistics.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        encoder: str = "resnet50",
        head: str = "fcn",
        weights: str | None = None,
        freeze: str | None = None,
    ) -> None:
        super().__init__()
        weights, freeze = (None if value == "none" else value for value in (weights, freeze))
        check_name("encoder", encoder, ENCODERS)
        check_name("head", head, HEADS)
        if freeze is not None:
            check_name("freeze", freeze, FROZEN)
        dilated = encoder in ("resnet50", "resnet101")
        # one more pixel than the stride: batch normalisation needs two values even for a single picture
        self.min_size = 9 if dilated else 33
        self.backbone, channels = make_backbone(encoder, in_channels, dilated)
        *layers, last = HEADS[head](channels, 1).children()
        if head == "deeplabv3":
            layers[0].convs[-1][2] = PooledBatchNorm(layers[0].convs[-1][2].num_features)
        self.classifier = nn.Sequential(*layers)
        self.heads = Heads(last.in_channels, heads)
        self.frozen = FROZEN[freeze] if freeze is not None else ()
        if weights is not None:
            self.load_weights(weights, encoder, head)
        for part in self.frozen:
            self.get_submodule(part).requires_grad_(False)
        self.train()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        predictions = self.heads(self.classifier(self.backbone(image)))
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

    def load_weights(self, weights: str, encoder: str, head: str) -> None:
        """Load `torchvision`'s weights or a file, and take over ImageNet's mean and standard deviation.

        A file holds a state dict of torchvision's segmentation network (its auxiliary classifier is ignored), a plain
        ResNet (its `fc` is ignored, the head stays new) or this class. A last convolution for another number of
        classes stays new. Raises ConfigError for anything else that is missing, unknown or of another shape.
        """
        state = download(encoder, head) if weights == "torchvision" else read_state(weights)
        state = {name: value for name, value in state.items() if not name.startswith(("aux_classifier.", "fc."))}
        new: tuple[str, ...] = ("heads.",)
        if "conv1.weight" in state:
            state = {f"backbone.{name}": value for name, value in state.items()}
            new = ("heads.", "classifier.")
        state = {name.replace("classifier.4.", "heads.mask."): value for name, value in state.items()}
        load_fitting(self, state, f"model.weights={weights}", f"model.encoder={encoder} model.head={head}", new)
        self.mean = IMAGENET_MEAN
        self.std = IMAGENET_STD


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of one value per picture, by its running statistics in a batch of one."""

    def forward(self, features: Tensor) -> Tensor:
        """Return `[B, C, 1, 1]` normalised; a single value has no variance, so it is not put into the statistics."""
        if self.training and features.shape[0] == 1:
            return F.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(features)


def check_name(setting: str, name: str, valid: Mapping[str, object] | tuple[str, ...]) -> None:
    """Raise a ConfigError with the nearest valid name if `name` is none of them."""
    if name not in valid:
        raise ConfigError(f"there is no model.{setting}={name}{nearest(str(name), valid)}")


def make_backbone(encoder: str, in_channels: int, dilated: bool) -> tuple[nn.Sequential, int]:
    """Return a new ResNet up to its fourth stage, with torchvision's names, and the channels of its output."""
    settings = {"replace_stride_with_dilation": [False, True, True]} if dilated else {}
    resnet = getattr(models, encoder)(weights=None, **settings)
    if in_channels != 3:
        resnet.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
    stages = {name: layer for name, layer in resnet.named_children() if name not in ("avgpool", "fc")}
    return nn.Sequential(OrderedDict(stages)), resnet.fc.in_features


def download(encoder: str, head: str) -> Mapping[str, Tensor]:
    """Return torchvision's state dict from its cache or the network; raises ConfigError where that fails."""
    weights = PRETRAINED[encoder, head]
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return state
    except (OSError, RuntimeError, HTTPException) as error:
        name = weights.url.rpartition("/")[2]
        raise ConfigError(
            f"model.weights=torchvision could not be downloaded ({error}); download {weights.url} elsewhere and set"
            f" model.weights=/path/to/{name}"
        ) from None


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a local file of `torch.save` or safetensors; raises ConfigError for anything else."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"model.weights={path} is not a file; give the path of a state dict, or null for none")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except ImportError:
        raise ConfigError(f"model.weights={path} needs the package safetensors: pip install safetensors") from None
    except Exception as error:  # a damaged file can raise anything
        raise ConfigError(f"model.weights={path} cannot be read as weights ({type(error).__name__})") from None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"model.weights={path} is not a state dict: it must map names to tensors and nothing else")
    return dict(state)


def load_fitting(
    module: nn.Module, state: Mapping[str, Tensor], where: str, what: str, new: tuple[str, ...] = ()
) -> None:
    """Load a state dict into a module; a stem of 3 channels is inflated to those of the module.

    Args:
        module: What is loaded into.
        state: Tensors by the module's names.
        where: The setting that named the weights, for messages.
        what: What they should fit, for messages.
        new: Beginnings of names that stay as they are where the state dict has nothing that fits.

    Raises:
        ConfigError: naming up to five tensors that are missing, of another shape, or unknown.
    """
    own = module.state_dict()
    state = {name: inflate(value, own[name]) if name in own else value for name, value in state.items()}
    fitting = {name: state[name] for name, value in own.items() if name in state and state[name].shape == value.shape}
    # weights from before PyTorch 0.4.1 do not count batches, and nothing here reads the count
    wrong = [
        name
        for name in [*own, *(name for name in state if name not in own)]
        if name not in fitting and not name.startswith(new) and not name.endswith("num_batches_tracked")
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ConfigError(
            f"{where} does not fit {what}: missing, of another shape or unknown are {', '.join(wrong[:5])}{more}"
        )
    module.load_state_dict(fitting, strict=False)


def inflate(weight: Tensor, wanted: Tensor) -> Tensor:
    """Return a first convolution for red, green and blue as one for other channels; any other weight as it is.

    The three kernels are repeated in turn and scaled by 3 over the number of channels, so that the responses keep their
    size: an image and its equal background give exactly that of one picture before. A single channel gets their sum,
    and gives exactly the response of a grey picture.
    """
    convolutions = weight.ndim == wanted.ndim == 4 and weight.shape[1] == 3
    if not convolutions or wanted.shape[1] == 3 or weight.shape[2:] != wanted.shape[2:]:
        return weight
    channels = wanted.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % 3] * (3 / channels)
