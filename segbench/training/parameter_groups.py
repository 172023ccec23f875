"""Which parameters are trained at which rate and with which decay: rules on names and shapes, for any network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from segbench.config.schema import Part
from segbench.config.values import check
from segbench.core.errors import ConfigError
from segbench.models.base import Network
from segbench.models.external import External

LAYER = re.compile(r"^(.*?\.\d+)\.")
"""The name of a layer of an encoder: up to its first number, such as `encoder.layer1.0` or `encoder.model.blocks.3`."""

USUAL = ("encoder", "backbone", "module.encoder", "module.backbone")
"""Where the encoder of a network lies that does not say it."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)
"""Normalisations, with all that derive from them."""

Group = dict[str, Any]
Named = list[tuple[str, nn.Parameter]]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The settings of `optimizer` that are about which parameters; all others are its class's own.

    Raises:
        ConfigError: for factors that are no rates.
    """

    encoder_lr_factor: float = 1.0
    """Learning rate of the encoder as a factor of `optimizer.lr`."""
    layer_decay: float = 1.0
    """Learning rate of a layer of the encoder as a factor of that of the layer above it (Bao et al., BEiT, 2022)."""
    decay_norms: bool = True
    """Whether biases, normalisations and position embeddings decay as all other weights do."""

    def __post_init__(self) -> None:
        if self.encoder_lr_factor <= 0 or not 0 < self.layer_decay <= 1:
            raise ConfigError(
                "optimizer.encoder_lr_factor must be above 0 and optimizer.layer_decay in (0, 1], got"
                f" {self.encoder_lr_factor} and {self.layer_decay}; trainer.freeze=encoder trains no encoder"
            )

    @classmethod
    def of(cls, part: Part) -> tuple[Grouping, Part]:
        """Return the grouping that an optimizer's node asks for, and the node as its class takes it."""
        kinds = {"encoder_lr_factor": float, "layer_decay": float, "decay_norms": bool}
        names = [field.name for field in fields(cls)]
        own: dict[str, Any] = {name: value for name, value in part.arguments.items() if name in names}
        for name, value in own.items():
            check(value, kinds[name], key=f"optimizer.{name}")
        rest = {name: value for name, value in part.arguments.items() if name not in names}
        return cls(**own), Part(target=part.target, arguments=rest)

    def groups(self, network: nn.Module, parameters: Named, *, options: Mapping[str, object]) -> list[Group]:
        """Return the parameters as groups of one rate and one decay each, those of the whole rate first.

        Args:
            network: The network.
            parameters: Those that are trained, by name.
            options: The arguments of the optimizer.

        Raises:
            ConfigError: for a network without an encoder, where the encoder is to have a rate of its own.
        """
        factors = self._factors(network, [name for name, _ in parameters])
        if self.decay_norms or not options.get("weight_decay"):
            undecayed = set()
        else:
            undecayed = set(spared(network))
        found: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in parameters:
            found.setdefault((factors[name], name in undecayed), []).append(parameter)
        if len(found) > 1 and len({factor for factor, _ in found}) > 1 and "lr" not in options:
            raise ConfigError(
                "optimizer.encoder_lr_factor and layer_decay need optimizer.lr, which they are factors of"
            )
        ordered = sorted(found.items(), key=lambda item: (item[0][0] != 1.0, -item[0][0], item[0][1]))
        return [
            _group(members, factor, is_undecayed=is_undecayed, options=options)
            for (factor, is_undecayed), members in ordered
        ]

    def _factors(self, network: nn.Module, names: Sequence[str]) -> dict[str, float]:
        """Return the factor of the learning rate by the name of a parameter."""
        if self.encoder_lr_factor == self.layer_decay == 1:
            return dict.fromkeys(names, 1.0)
        parts = encoder_parts(network)
        inner = [name for part in parts for name in names if name.startswith(part)]
        if not inner:
            raise ConfigError(
                "optimizer.encoder_lr_factor and optimizer.layer_decay do nothing, as the encoder is frozen throughout;"
                " leave them out, or give trainer.unfreeze_at"
            )
        places = layers(inner)
        above = max(places.values(), default=0)
        if self.layer_decay != 1 and above == 0:
            raise ConfigError(
                "optimizer.layer_decay finds no layers, as no name in the encoder of model has a number for itself;"
                " give optimizer.encoder_lr_factor"
            )
        return {
            name: self.encoder_lr_factor * self.layer_decay ** (above + 1 - places[name]) if name in places else 1.0
            for name in names
        }


def _group(members: list[nn.Parameter], factor: float, *, is_undecayed: bool, options: Mapping[str, object]) -> Group:
    group: Group = {"params": members}
    if factor != 1:
        rate = options["lr"]
        assert isinstance(rate, int | float)
        group["lr"] = rate * factor
    if is_undecayed:
        group["weight_decay"] = 0.0
    return group


def layers(names: Sequence[str]) -> dict[str, int]:
    """Return the layer of each parameter of an encoder, counted from 0, the stem.

    A name without a number, such as that of a normalisation behind the last block, belongs to the layer before it.
    """
    known: dict[str, int] = {}
    places: dict[str, int] = {}
    place = 0
    for name in names:
        found = LAYER.match(name)
        if found:
            place = known.setdefault(found[1], len(known) + 1)
        places[name] = place
    return places


def encoder_parts(network: nn.Module) -> tuple[str, ...]:
    """Return what the names of an encoder's parameters begin with; raises ConfigError for a network without one."""
    said = network.encoder_parts if isinstance(network, Network) else ()
    modules = {name for name, _ in network.named_modules()}
    found = tuple(part for part in (said or USUAL) if part in modules)
    if not found:
        inner = network.module if isinstance(network, External) else network
        raise ConfigError(
            f"model ({type(inner).__name__}) has no part called encoder or backbone; leave out trainer.freeze,"
            " optimizer.encoder_lr_factor and optimizer.layer_decay, or take model=smp or another with an encoder"
        )
    return tuple(f"{part}." for part in found)


def spared(network: nn.Module) -> Iterator[str]:
    """Yield the names of the parameters that weight decay would only distort.

    These are biases, all of normalisations, and what a network of timm says should not decay, as position embeddings.
    """
    for path, module in network.named_modules():
        beginning = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) or parameter.ndim <= 1 or name == "bias":
                yield f"{beginning}{name}"
        declared = getattr(module, "no_weight_decay", None)
        if callable(declared):
            yield from (f"{beginning}{name}" for name in declared())
