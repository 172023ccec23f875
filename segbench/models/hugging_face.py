"""Networks of Hugging Face's transformers behind one adapter: logits of any size, or masks of queries, at full size."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError, nearest
from segbench.core.plain import Json
from segbench.models.base import ONE_LOGIT, Network, crop, pad_to_multiple
from segbench.models.rehearsal import unused_parameters
from segbench.models.sources import Source
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD, State, load_fitting, read_state

SUFFIXES = ("ForSemanticSegmentation", "ForUniversalSegmentation")
"""What the names of the classes end with that are networks for segmentation."""

BEFORE = ("model.pixel_level_module.encoder",)
"""Where the encoder lies, whatever prefix the class declares."""

BEHIND = (("backbone",), ("encoder",), ("embeddings", "layers", "layernorm"))
"""Where it lies, where nothing is under that prefix; of several parts in the order in which they are run."""

FOLLOWING = ("num_labels", "num_channels", "id2label", "label2id")
"""Settings that follow from classes and bands."""

PICTURE = "pixel_values"
"""What networks of transformers call a picture."""

LEAST = 1e-6
"""Added to the score of a class before its logarithm is taken."""


class HuggingFace(Network):
    """A network of transformers, begun from its configuration; nothing is fetched.

    One that gives logits is trained as any other. One that gives queries (Mask2Former, EoMT) is taken by its semantic
    output: the score of a class at a pixel is the sum over queries of the class's probability times the mask's, as
    Cheng et al. (2022) infer it, and its logit is the logarithm. It is trained on that by the loss of the run, not by
    a matching of queries.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction; of queries the mask alone.
        network: Name of a class of transformers, such as SegformerForSemanticSegmentation.
        config: Arguments of its configuration that differ from the defaults; classes and channels are not among them.
        weights: None or `none`, or a local file with a state dict of it or of its encoder. A last layer of another
            number of classes stays new. ImageNet's mean and standard deviation are then used.
        multiple: Height and width are padded to multiples of it.
        side: Height and width that the network is shown whatever the picture's are, for one that takes one size alone;
            None: the picture's own.
    """

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        *,
        network: str = "SegformerForSemanticSegmentation",
        config: Mapping[str, object] | None = None,
        weights: str | None = None,
        multiple: int = 32,
        side: int | None = None,
    ) -> None:
        super().__init__()
        if multiple < 1 or (side is not None and side < 1):
            raise ConfigError(f"model.multiple and model.side must be at least 1, got {multiple} and {side}")
        self.outputs = dict(heads)
        self.multiple = multiple
        self.side = side
        self.min_size = 1 if side is not None else multiple + 1
        kind = find_network(network)
        described = describe(kind, dict(config or {}), in_channels=in_channels, labels=self._labels(network))
        self.network = build(kind, described)
        self.encoder_parts = tuple(f"network.{part}" for part in encoder_of(self.network))
        least = side or 2 * multiple
        for name in unused_parameters(self, (2, in_channels, least, least)):
            self.get_parameter(name).requires_grad_(False)
        if weights not in (None, "none"):
            self.load_weights(read_state(weights), f"model.weights={weights}", new=changing(kind, described))

    @classmethod
    def weights_source(cls, name: str, settings: Mapping[str, object]) -> Source:
        """Return where weights can be had: a name is that of a repository, such as nvidia/mit-b0."""
        if name.count("/") == 1 and not name.startswith((".", "/", "~")):
            return Source(repo=name)
        return Source()

    def _labels(self, network: str) -> int:
        """Return the number of labels of the network: all channels, or two where a query has to choose one."""
        if "ForUniversal" not in network:
            return sum(self.outputs.values())
        if list(self.outputs) != ["mask"]:
            raise ConfigError(
                f"model.network={network} gives masks alone; use task=mask, or a ...ForSemanticSegmentation"
            )
        return max(2, self.outputs["mask"])

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        shown = self._shown(image)
        found = self.network(pixel_values=shown)
        if "logits" in found:
            logits = found["logits"]
        else:
            logits = semantic(found, self.outputs["mask"])
        logits = F.interpolate(logits, size=shown.shape[-2:], mode="bilinear", align_corners=False)
        if self.side is not None:
            logits = F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
        parts = torch.split(logits, list(self.outputs.values()), dim=1)
        height, width = image.shape[-2:]
        return crop(dict(zip(self.outputs, parts, strict=True)), height=height, width=width)

    def _shown(self, image: Tensor) -> Tensor:
        if self.side is None:
            return pad_to_multiple(image, self.multiple)
        return F.interpolate(image, size=(self.side, self.side), mode="bilinear", align_corners=False)

    def load_weights(self, state: State, where: str, *, new: tuple[str, ...]) -> None:
        """Load a state dict of the network or of its encoder; raises ConfigError where it does not fit.

        Args:
            state: By the names of transformers.
            where: The setting that named the weights, for messages.
            new: Names that depend on the number of classes, which stay new where the file has another.
        """
        own = self.network.state_dict()
        encoder = tuple(f"{part.removeprefix('network.')}." for part in self.encoder_parts)
        whole = [name for name in own if not name.startswith(encoder)]
        if not any(name in state for name in whole):  # of the encoder alone, all else stays new
            new = (*new, *whole)
        load_fitting(self.network, state, where=where, what=f"model.network={type(self.network).__name__}", new=new)
        self.mean = IMAGENET_MEAN
        self.std = IMAGENET_STD


def find_network(name: str) -> Any:
    """Return a class of transformers that segments; raises ConfigError for another, or where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise ConfigError(
            "segbench.models.hugging_face.HuggingFace needs the package transformers: pip install -e '.[transformers]'"
        ) from None
    known = [one for one in dir(transformers) if one.endswith(SUFFIXES) and not one.startswith("Auto")]
    if name not in known:
        raise ConfigError(f"there is no model.network={name}{nearest(name, known)}")
    kind = getattr(transformers, name)
    if wanted := _further_inputs(kind):
        raise ConfigError(
            f"model.network={name} wants {' and '.join(wanted)}, and a run has pictures alone; take another, such as"
            " SegformerForSemanticSegmentation"
        )
    return kind


def _further_inputs(kind: Any) -> list[str]:
    """Return what a network has to be given that is not a picture."""
    named = kind.main_input_name
    main = [named] if isinstance(named, str) else list(named)
    if PICTURE not in main or len(main) > 1:
        return [name for name in main if name != PICTURE]
    arguments = list(inspect.signature(kind.forward).parameters.values())[1:]
    needed = [one.name for one in arguments if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    return [name for name in needed if name != PICTURE]


def describe(kind: Any, config: Json, *, in_channels: int, labels: int) -> Json:
    """Return the arguments of a network's configuration; raises ConfigError for one that it does not have.

    A configuration of transformers takes any name and ignores most of them, and some have weights fetched.
    """
    known = kind.config_class().to_dict()
    for name in config:
        if name in FOLLOWING:
            raise ConfigError(f"model.config.{name} follows from the classes and bands of the data, and is not set")
        if name not in known or name.startswith("_"):
            raise ConfigError(f"model.config ({kind.config_class.__name__}) takes no '{name}'{nearest(name, known)}")
    for name, value in _nested(config):
        if "pretrained" in name and value:
            raise ConfigError(f"model.config.{name} would fetch weights; give model.weights=FILE instead")
    told = {**config, "num_labels": labels}
    if "num_channels" in known:
        told["num_channels"] = in_channels
    elif isinstance(config.get("backbone_config"), Mapping):
        told["backbone_config"] = {**config["backbone_config"], "num_channels": in_channels}
    return told


def _nested(config: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        yield name, value
        if isinstance(value, Mapping):
            yield from _nested(value)


def build(kind: Any, described: Mapping[str, object]) -> nn.Module:
    """Return a new network; raises ConfigError for a configuration that it cannot be built from."""
    try:
        network: nn.Module = kind(kind.config_class(**described))
    except Exception as error:  # each network has its own way to refuse
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"model.network={kind.__name__} cannot be built from model.config ({reason})") from error
    return network


def encoder_of(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the submodules that are the encoder; none for a network without one."""
    prefix = str(getattr(network, "base_model_prefix", ""))
    names = {name for name, _ in network.named_modules() if name}
    return next((place for place in (BEFORE, (prefix,), *BEHIND) if names.issuperset(place)), ())


def changing(kind: Any, described: Json) -> tuple[str, ...]:
    """Return the names of the tensors whose shapes follow from the number of classes."""
    with torch.device("meta"):
        one, other = (
            kind(kind.config_class(**{**described, "num_labels": count})).state_dict()
            for count in (described["num_labels"], described["num_labels"] + 1)
        )
    return tuple(name for name, tensor in one.items() if tensor.shape != other[name].shape)


def semantic(found: Mapping[str, Tensor], channels: int) -> Tensor:
    """Return logits `[B, channels, h, w]` of queries with their classes and masks.

    Args:
        found: `class_queries_logits` `[B,Q,C+1]`, whose last class is none, and `masks_queries_logits` `[B,Q,h,w]`.
        channels: 1 for two classes, else the number of classes.
    """
    classes = found["class_queries_logits"].softmax(dim=-1)[..., :-1]
    masks = found["masks_queries_logits"].sigmoid()
    scores = torch.einsum("bqc,bqhw->bchw", classes, masks)
    logits = (scores + LEAST).log()
    if channels > 1:
        return logits
    return logits[:, 1:] - logits[:, :1]
