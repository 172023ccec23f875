"""Several losses at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from segbench.core.errors import ConfigError, nearest
from segbench.losses.base import Loss, Tensors
from segbench.losses.external import as_loss


class WeightedSum(Loss):
    """The sum of losses, each times its weight; each reports its own terms.

    Args:
        losses: The losses by name.
        weights: A weight of at least 0 for each of them.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not isinstance(losses, Mapping) or not losses:
            raise ConfigError("loss.losses must name at least one loss")
        if not isinstance(weights, Mapping):
            raise ConfigError(f"loss.weights must have a number for each of {', '.join(losses)}, got {weights}")
        for name in weights:
            if name not in losses:
                raise ConfigError(f"loss.weights has no loss called '{name}'{nearest(name, losses)}")
        for name in losses:
            weight = weights.get(name)
            if not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
                raise ConfigError(f"loss.weights.{name} must be a number of at least 0, got {weight}")
        if not any(weights.values()):
            raise ConfigError("loss.weights are all 0, so there is nothing to learn from")
        # a list, since names of a module dictionary must not be those of its methods
        self._names = list(losses)
        self.parts = nn.ModuleList([as_loss(loss, f"loss.losses.{name}") for name, loss in losses.items()])
        self.weights = dict(weights)
        used = {head for loss in self._losses.values() for head in loss.heads}
        self.heads = tuple(head for head in ("mask", "depth") if head in used)
        every = [term for loss in self._losses.values() for term in loss.terms]
        self._shared = {term for term in every if every.count(term) > 1}
        self.terms = tuple(self._name(name, term) for name, loss in self._losses.items() for term in loss.terms)

    @property
    def _losses(self) -> dict[str, Loss]:
        return {name: loss for name, loss in zip(self._names, self.parts, strict=True) if isinstance(loss, Loss)}

    def _name(self, part: str, term: str) -> str:
        if term not in self._shared:
            return term
        return f"{part}_{term}"

    @property
    def wants_class_weights(self) -> bool:  # type: ignore[override]
        """Whether any part does."""
        return any(loss.wants_class_weights for loss in self._losses.values())

    def set_class_weights(self, weights: Tensor) -> None:
        """Hand the weights to the parts that asked for them."""
        for loss in self._losses.values():
            if loss.wants_class_weights:
                loss.set_class_weights(weights)

    def check(self, classes: Sequence[str]) -> None:
        """Raise a ConfigError if a part cannot work on these classes."""
        for loss in self._losses.values():
            loss.check(classes)

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the weighted sum, and the terms of every part without their weights."""
        terms: Tensors = {}
        total: Tensor | float = 0.0
        for name, loss in self._losses.items():
            value, found = loss(prediction, batch)
            total = total + self.weights[name] * value
            terms |= {self._name(name, term): item for term, item in found.items()}
        assert isinstance(total, Tensor)
        return total, terms
