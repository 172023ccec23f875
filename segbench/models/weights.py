"""Pretrained weights: a file read without running code, and its tensors put where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.core.text import and_more

Colour = tuple[float, float, float]
State = dict[str, Tensor]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue, from 0 to 1, that torchvision's and timm's usual weights were trained with."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation likewise."""

MOST_BEHIND = 16
"""Tensors that a classifier has behind its last features, at most: a convolution, a normalisation, a linear layer."""


def read_state(path: str | Path, setting: str = "model.weights") -> State:
    """Return the state dict in a local file of `torch.save` or safetensors; raises ConfigError for anything else.

    Args:
        path: The file; nothing in it is run.
        setting: The setting that named it, for messages.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{setting}={path} is not a file; give the path of a state dict, or null for none")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except ImportError:
        raise ConfigError(f"{setting}={path} needs the package safetensors: pip install safetensors") from None
    except Exception as error:  # a damaged file can raise anything
        raise ConfigError(f"{setting}={path} cannot be read as weights ({type(error).__name__})") from None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{setting}={path} is not a state dict: it must map names to tensors and nothing else")
    return dict(state)


def load_fitting(
    module: nn.Module, state: Mapping[str, Tensor], *, where: str, what: str, new: tuple[str, ...] = ()
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
        more = and_more(len(wrong), 5)
        raise ConfigError(
            f"{where} does not fit {what}: {', '.join(wrong[:5])}{more} are missing, unknown or of another shape"
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


def in_order(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> State | None:
    """Return tensors of foreign names under a module's own names, where their order says which is which; else None.

    The file's tensors must begin with those of the module one by one: each of the same kind (`weight`, `bias`,
    `running_mean`, ...) and the same shape, a stem of other channels aside, with at most a classifier behind them. The
    names must have nothing in common: a file that knows some of them is for another variant of the network.
    """
    if set(state) & set(own) or not len(own) <= len(state) <= len(own) + MOST_BEHIND:
        return None
    pairs = list(zip(own.items(), state.items(), strict=False))
    for (name, wanted), (foreign, value) in pairs:
        if _kind(name) != _kind(foreign) or inflate(value, wanted).shape != wanted.shape:
            return None
    return {name: value for (name, _), (_, value) in pairs}


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def without(state: Mapping[str, Tensor], beginnings: Iterable[str]) -> State:
    """Return the tensors whose names begin otherwise."""
    unwanted = tuple(beginnings)
    return {name: value for name, value in state.items() if not name.startswith(unwanted)}
