"""Whether a network works on what it will be given, found by passing it nothing: before data is read or a folder made.

The passes are made on copies whose weights are on torch's meta device, where shapes are worked out but nothing is
computed. What fails there is tried again on the CPU, since not everything that works there is known to it. A pass of a
small network is made on the CPU at once: shapes are worked out by Python, a millisecond a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.external import External

Size = tuple[int, int]
FEW_PIXELS = 8192
"""Of a batch; more are never passed on the CPU without need, as what attends to all of them keeps their square."""
FEW_PRODUCTS = 1e9
"""Pixels times weights, of which a network with smaller inner layers computes a tenth: some hundredths of a second."""


def check_output(network: nn.Module, channels: int, *, heads: Mapping[str, int], size: Size) -> None:
    """Raise a ConfigError if a network does not give what a task needs for a picture.

    Args:
        network: The network, which is left as it is.
        channels: Channels of a picture.
        heads: Channels of each prediction.
        size: Height and width of a picture.
    """
    try:
        found = _passed(network, (1, channels, *size), training=False)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"model ({_name(network)}) does not work on pictures of {_words(size)}: {_why(error)}"
        ) from error
    for head, count in heads.items():
        output = None
        if isinstance(found, Mapping):
            output = found.get(head)
        wanted = [1, count, *size]
        shape: list[int] | str = "nothing"
        if isinstance(output, Tensor):
            shape = list(output.shape)
        if shape != wanted:
            raise ConfigError(
                f"model ({_name(network)}) gives {shape} for the head '{head}', which must be {wanted} for a picture"
                f" {[1, channels, *size]}"
            )


def check_training(network: nn.Module, channels: int, *, sizes: Sequence[Size], batch: int) -> None:
    """Raise a ConfigError if a network cannot be trained on such batches, as batch normalisation cannot on one value.

    Args:
        network: The network, which is left as it is.
        channels: Channels of a picture.
        sizes: Heights and widths of the pictures that it is trained on.
        batch: Pictures in a batch of one device.
    """
    for size in sizes:
        try:
            _passed(network, (min(batch, 2), channels, *size), training=True)
        except Exception as error:
            enough = batch == 1 and _works(network, (2, channels, *size))
            if enough:
                remedy = "give data.batch_size=2 or more for each device, or larger pictures"
            else:
                remedy = "give larger pictures"
            raise ConfigError(
                f"model ({_name(network)}) cannot be trained on batches of {batch} with pictures of {_words(size)}"
                f" ({_why(error)}); {remedy}"
            ) from error


def unused_parameters(network: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the parameters that no prediction depends on, such as those of layers behind the last used.

    Nothing would come of training them, and several devices could not agree on gradients that there are none of.

    Args:
        network: The network, which is left as it is; it gives predictions by name.
        shape: Of a batch of pictures.
    """
    try:
        return _without_gradient(_copy(network, training=True).to("meta"), torch.zeros(shape, device="meta"))
    except Exception:
        return _without_gradient(_copy(network, training=True), torch.zeros(shape))


def called_whole(network: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the submodules that are only used by calling them: no part of one is called from elsewhere.

    Args:
        network: The network, which is left as it is.
        shape: Of a batch of pictures.
    """
    try:
        return _calls(_copy(network, training=True).to("meta"), torch.zeros(shape, device="meta"))
    except Exception:
        return _calls(_copy(network, training=True), torch.zeros(shape))


def _calls(trial: nn.Module, picture: Tensor) -> list[str]:
    names = {module: name for name, module in trial.named_modules() if name}
    running: list[str] = []
    called: dict[str, bool] = {}

    def enters(module: nn.Module, arguments: object) -> None:
        name = names[module]
        for other in names.values():
            if name.startswith(f"{other}.") and other not in running:
                called[other] = False
        called.setdefault(name, True)
        running.append(name)

    def leaves(*what: object) -> None:
        running.pop()

    for module in names:
        module.register_forward_pre_hook(enters)
        module.register_forward_hook(leaves)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        trial(picture)
    return [name for name in names.values() if called.get(name)]


def _without_gradient(trial: nn.Module, picture: Tensor) -> list[str]:
    with torch.random.fork_rng(devices=[]):
        predictions: dict[str, Tensor] = trial(picture)
    total: Tensor = torch.stack([value.sum() for value in predictions.values()]).sum()
    torch.autograd.backward([total])
    return [name for name, parameter in trial.named_parameters() if parameter.grad is None]


def _works(network: nn.Module, shape: tuple[int, ...]) -> bool:
    try:
        _passed(network, shape, training=True)
    except Exception:
        return False
    return True


def _passed(network: nn.Module, shape: tuple[int, ...], *, training: bool) -> object:
    """Return what a copy of the network gives for zeros."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        with suppress(Exception):
            if _is_small(network, shape):
                return _copy(network, training)(torch.zeros(shape))
        try:
            return _copy(network, training).to("meta")(torch.zeros(shape, device="meta"))
        except Exception:
            return _copy(network, training)(torch.zeros(shape))


def _is_small(network: nn.Module, shape: tuple[int, ...]) -> bool:
    pixels = shape[0] * math.prod(shape[2:])
    weights = sum(parameter.numel() for parameter in network.parameters())
    return pixels <= FEW_PIXELS and pixels * weights <= FEW_PRODUCTS


def _copy(network: nn.Module, training: bool) -> nn.Module:
    return deepcopy(network).train(training)


def _name(network: nn.Module) -> str:
    return type(network.module if isinstance(network, External) else network).__name__


def _words(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
